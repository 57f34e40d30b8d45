use std::process::ExitCode;

use anyhow::Result;
use polyllm::types::rerank::RerankResponse;

use crate::output::{Printed, print, print_json};
use crate::{args, request};

pub(crate) async fn run(args: args::Rerank) -> Result<ExitCode> {
    let documents = request::texts(&args.document)?;
    request::with_model(&args.request, async |client| {
        let request = client
            .rerank(&args.request.model, &args.query, documents.clone())
            .with_request(|request| request.top_n = args.top_n);
        let reply = request::with_options(request, &args.request).reply().await;
        let reply = reply.map_err(|error| request::mention_blank(error, &documents))?;
        if args.request.json {
            print_json(&reply.body)?;
            return Ok(());
        }
        for result in reply.read::<RerankResponse>()?.results {
            // The documents are known, whether or not the provider returns them.
            let document = usize::try_from(result.index).ok();
            let document = document.and_then(|index| documents.get(index));
            let line = format!(
                "{:.4}  {:>3}  {}\n",
                result.relevance_score.as_f64(),
                result.index,
                // A document of several lines is one line of the output.
                document.map_or_else(String::new, |text| text.replace('\n', "\\n")),
            );
            if print(line)? == Printed::ReaderGone {
                break;
            }
        }
        Ok(())
    })
    .await
}
