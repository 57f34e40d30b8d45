//! The command `polyllm`; see `polyllm --help`.

mod args;
mod bench;
mod chat;
mod check;
mod complete;
mod database;
mod embed;
mod exchange;
mod log;
mod models;
mod otel;
mod output;
mod providers;
mod reload;
mod replicate;
mod reply;
mod request;
mod rerank;
mod serve;
mod signal;
mod simulate;
mod sse;
mod template;

use std::io;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::CommandFactory;
use tokio::runtime::{Builder, Runtime};

use crate::args::{Args, Command};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    output::start();
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return output::usage(error),
    };
    // The configuration of the gateway chooses the format of its log.
    if !matches!(args.command, Command::Serve(_)) {
        log::start(args.verbosity());
    }
    let verbosity = args.verbosity();
    let runtime = match runtime() {
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
                // The generator panics if it cannot write.
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Args::command(), "polyllm", &mut script);
                output::print(String::from_utf8_lossy(&script)).map(|_| ExitCode::SUCCESS)
            }
            Command::Embed(embed) => embed::run(embed).await,
            Command::Models(models) => models::run(models).await,
            Command::Providers(args) => providers::run(&args),
            Command::Replicate(replicate) => replicate::run(*replicate).await,
            Command::Rerank(rerank) => rerank::run(rerank).await,
            Command::Serve(serve) => serve::run(serve, verbosity).await,
            Command::Sim(sim) => simulate::run(sim).await,
            Command::Sse(sse) => sse::run(&sse),
            Command::Template(command) => template::run(&command),
        }
    });
    done.unwrap_or_else(|error| output::fail(&error))
}

/// On a single processor, a scheduler for several threads is pure cost.
fn runtime() -> io::Result<Runtime> {
    let is_single = available_parallelism().is_ok_and(|processors| processors.get() == 1);
    let mut builder = match is_single {
        true => Builder::new_current_thread(),
        false => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}
