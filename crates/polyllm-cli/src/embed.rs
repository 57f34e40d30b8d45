use std::process::ExitCode;

use anyhow::{Result, bail};
use polyllm::types::embeddings::{EmbeddingResponse, Vector};

use crate::output::{Printed, print, print_json};
use crate::{args, request};

pub(crate) async fn run(args: args::Embed) -> Result<ExitCode> {
    let texts = request::texts(&args.text)?;
    request::with_model(&args.request, async |client| {
        let request = client
            .embed(&args.request.model, texts.clone())
            .with_request(|request| request.dimensions = args.dimensions);
        let reply = request::with_options(request, &args.request).reply().await;
        let reply = reply.map_err(|error| request::mention_blank(error, &texts))?;
        if args.request.json {
            print_json(&reply.body)?;
            return Ok(());
        }
        let mut embeddings = reply.read::<EmbeddingResponse>()?.data;
        if embeddings.len() != texts.len() {
            let (vectors, texts) = (embeddings.len(), texts.len());
            bail!("the provider returned {vectors} vectors for {texts} texts");
        }
        // Line 3 is the vector of text 3, whatever the order in the reply.
        embeddings.sort_by_key(|embedding| embedding.index);
        for embedding in embeddings {
            let numbers = match &embedding.embedding {
                // Requested by `--param encoding_format=base64`.
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
