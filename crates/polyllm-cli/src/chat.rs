use std::process::ExitCode;

use anyhow::Result;
use polyllm::types::ChatResponse;

use crate::{args, reply, request};

pub(crate) async fn run(args: args::Chat) -> Result<ExitCode> {
    let text = request::text(&args.text)?;
    request::with_model(&args.question, async |client| {
        let mut chat = client.chat(&args.question.model);
        if let Some(system) = &args.system {
            chat = chat.with_system(system.as_str());
        }
        let chat = chat.with_user(text).with_request(|request| {
            request.max_tokens = args.writing.max_tokens;
            request.temperature = args.writing.temperature.map(Into::into);
        });
        reply::show(
            request::with_options(chat, &args.question),
            !args.writing.no_stream,
            args.question.json,
            ChatResponse::text,
        )
        .await
    })
    .await
}
