use std::process::ExitCode;

use anyhow::Result;
use polyllm::types::embeddings::Vector;

use crate::output::{Printed, print, print_json};
use crate::{args, ask};

pub(crate) async fn run(args: args::Embed) -> Result<ExitCode> {
    let texts = ask::texts(&args.text)?;
    ask::with_model(&args.question, async |client| {
        let request = client
            .embed(&args.question.model, texts)
            .with_request(|request| request.dimensions = args.dimensions);
        let reply = ask::asked(request, &args.question).reply().await?;
        if args.question.json {
            print_json(&reply.body)?;
            return Ok(());
        }
        for embedding in &reply.body.value()?.data {
            let numbers = match &embedding.embedding {
                // Asked for by `--param encoding_format=base64`.
                Vector::Base64(_) => Vector::floats(&embedding.embedding.to_f32s()?),
                floats @ Vector::Floats(_) => floats.clone(),
            };
            let line = serde_json::to_string(&numbers)?;
            if print(format_args!("{line}\n"))? == Printed::ReaderGone {
                break;
            }
        }
        Ok(())
    })
    .await
}
