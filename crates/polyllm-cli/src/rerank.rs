use std::process::ExitCode;

use anyhow::Result;
use polyllm::types::rerank::RerankResponse;

use crate::output::{Printed, print, print_json};
use crate::{args, ask};

pub(crate) async fn run(args: args::Rerank) -> Result<ExitCode> {
    let documents = ask::texts(&args.document)?;
    ask::with_model(&args.question, async |client| {
        let request = client
            .rerank(&args.question.model, &args.query, documents.clone())
            .with_request(|request| request.top_n = args.top_n);
        let reply = ask::asked(request, &args.question).reply().await;
        let reply = reply.map_err(|error| ask::point_at_blank(error, &documents))?;
        if args.question.json {
            print_json(&reply.body)?;
            return Ok(());
        }
        for result in reply.read::<RerankResponse>()?.results {
            // The documents are at hand, whether or not the provider repeats them.
            let document = usize::try_from(result.index).ok();
            let document = document.and_then(|index| documents.get(index));
            let line = format!(
                "{:.4}  {:>3}  {}\n",
                result.relevance_score.as_f64(),
                result.index,
                // A document of several lines is a line of the answer.
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
