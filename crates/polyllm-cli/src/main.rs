//! The command `polyllm`: see `polyllm --help`.

mod answer;
mod args;
mod ask;
mod bench;
mod chat;
mod check;
mod complete;
mod embed;
mod models;
mod output;
mod replicate;
mod rerank;
mod serve;
mod signal;
mod simulate;
mod sse;
mod template;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    output::log(args.verbosity());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return output::fail(&anyhow::Error::new(error)),
    };
    let done = runtime.block_on(async {
        match args.command {
            Command::Bench(bench) => bench::run(*bench).await,
            Command::Chat(chat) => chat::run(chat).await,
            Command::Check(check) => check::run(&check),
            Command::Complete(complete) => complete::run(complete).await,
            Command::Completions { shell } => {
                clap_complete::generate(
                    shell,
                    &mut Args::command(),
                    "polyllm",
                    &mut std::io::stdout(),
                );
                Ok(ExitCode::SUCCESS)
            }
            Command::Embed(embed) => embed::run(embed).await,
            Command::Models(models) => models::run(models).await,
            Command::Replicate(replicate) => replicate::run(*replicate).await,
            Command::Rerank(rerank) => rerank::run(rerank).await,
            Command::Serve(serve) => serve::run(serve).await,
            Command::Sim(sim) => simulate::run(sim).await,
            Command::Sse(sse) => sse::run(&sse),
            Command::Template(command) => template::run(&command),
        }
    });
    done.unwrap_or_else(|error| output::fail(&error))
}
