use std::process::ExitCode;

use anyhow::Result;
use polyllm::types::ChatResponse;

use crate::{args, reply, request};

pub(crate) async fn run(args: args::Chat) -> Result<ExitCode> {
    let text = request::text(&args.text)?;
    request::with_model(&args.request, async |client| {
        let mut chat = client.chat(&args.request.model);
        if let Some(system) = &args.system {
            chat = chat.with_system(system.as_str());
        }
        let chat = chat.with_user(text).with_request(|request| {
            request.max_tokens = args.generation.max_tokens;
            request.temperature = args.generation.temperature.map(Into::into);
        });
        reply::show(
            request::with_options(chat, &args.request),
            !args.generation.no_stream,
            args.request.json,
            ChatResponse::text,
        )
        .await
    })
    .await
}
