use std::borrow::Cow;
use std::process::ExitCode;

use anyhow::Result;
use polyllm::types::Stop;
use polyllm::types::completions::CompletionResponse;

use crate::{args, reply, request};

pub(crate) async fn run(args: args::Complete) -> Result<ExitCode> {
    let text = request::exact_text(args.text.as_deref())?;
    request::with_model(&args.request, async |client| {
        let completion = client
            .complete(&args.request.model, text)
            .with_request(|request| {
                request.max_tokens = args.generation.max_tokens;
                request.temperature = args.generation.temperature.map(Into::into);
                request.stop = (!args.stop.is_empty()).then(|| Stop::from(args.stop.clone()));
            });
        reply::show(
            request::with_options(completion, &args.request),
            !args.generation.no_stream,
            args.request.json,
            |response| first_text(response).map(Cow::Borrowed),
        )
        .await
    })
    .await
}

/// The text of the first choice.
fn first_text(response: &CompletionResponse) -> Option<&str> {
    let mut choices = response.choices.iter();
    let first = choices.find(|choice| choice.index == 0)?;
    Some(&first.text)
}
