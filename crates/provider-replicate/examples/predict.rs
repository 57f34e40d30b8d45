//! Sends a chat to a model on Replicate and prints the reply as it arrives.
//!
//! ```sh
//! REPLICATE_API_TOKEN=r8_… cargo run -p provider-replicate --example predict -- \
//!     meta/meta-llama-3-8b-instruct "What do you know about earth?"
//! ```

use std::io::{self, Write};

use llm_provider::{Call, Provider, ReplyEvent, Settings};
use llm_types::{ChatRequest, Message};
use provider_replicate::Replicate;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("usage: predict MODEL QUESTION".into());
    };
    let replicate = Replicate::new(Settings::new())?;
    let request = ChatRequest::new(model, vec![Message::user(question)]);
    let mut stream = replicate.stream(Call::of(&request)).await?;
    let mut out = io::stdout();
    while let Some(event) = stream.next().await {
        match event? {
            ReplyEvent::Chunk(chunk) => {
                out.write_all(chunk.text()?.unwrap_or_default().as_bytes())?;
                out.flush()?;
            }
            ReplyEvent::Progress(progress) => {
                writeln!(
                    io::stderr(),
                    "{} for {:?}",
                    progress.status,
                    progress.elapsed
                )?;
            }
            _ => {}
        }
    }
    Ok(writeln!(out)?)
}
