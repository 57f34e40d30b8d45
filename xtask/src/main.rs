//! The maintainer's commands: `cargo xtask help`.
#![allow(clippy::disallowed_methods, reason = "no asynchronous code runs here")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its terminal"
)]

mod alone;
mod bench;
mod bench_truth;
mod ci;
mod clients;
mod cluster;
mod crates;
mod dashboard;
mod deny;
mod deploy;
mod fixtures;
mod fuzz;
mod genai_bench;
mod http;
mod layers;
mod lint;
mod mutants;
mod new_provider;
mod outage;
mod picture;
mod python;
mod record;
mod release;
mod services;
mod simulate;
mod soak;
mod tool;
mod vectors;
mod wasm;
mod wheel;

use std::process::ExitCode;

use anyhow::Result;
use lexopt::Arg;

fn main() -> ExitCode {
    match dispatch(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        // Exit 2 for a command that was misused, 1 for one that failed.
        Err(error) if error.is::<lexopt::Error>() => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut args: lexopt::Parser) -> Result<()> {
    let Some(Arg::Value(name)) = args.next()? else {
        print!("{}", overview());
        return Ok(());
    };
    let name = name.to_string_lossy();
    if name == "help" {
        return match args.next()? {
            Some(Arg::Value(about)) => find(&about.to_string_lossy()).map(explain),
            _ => {
                print!("{}", overview());
                Ok(())
            }
        };
    }
    let command = find(&name)?;
    let raw: Vec<_> = args.raw_args()?.collect();
    if raw.iter().any(|arg| arg == "--help" || arg == "-h") {
        explain(command);
        return Ok(());
    }
    (command.run)(lexopt::Parser::from_args(raw))
}

/// One of the commands.
struct Command {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    details: &'static str,
    run: fn(lexopt::Parser) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    alone::COMMAND,
    bench::COMMAND,
    bench_truth::COMMAND,
    ci::COMMAND,
    clients::COMMAND,
    cluster::COMMAND,
    dashboard::COMMAND,
    deploy::COMMAND,
    fixtures::COMMAND,
    fuzz::COMMAND,
    genai_bench::COMMAND,
    layers::COMMAND,
    lint::COMMAND,
    mutants::COMMAND,
    new_provider::COMMAND,
    outage::COMMAND,
    picture::COMMAND,
    release::COMMAND,
    simulate::COMMAND,
    soak::COMMAND,
    wheel::COMMAND,
    vectors::COMMAND,
];

fn find(name: &str) -> Result<&'static Command> {
    COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
            let known = names.join(", ");
            lexopt::Error::from(format!(
                "unknown command '{name}'; the commands are {known} and help"
            ))
            .into()
        })
}

fn overview() -> String {
    let width = COMMANDS.iter().map(|command| command.name.len()).max();
    let width = width.unwrap_or_default();
    let mut text = "The maintainer's commands.\n\n".to_owned();
    for Command { name, about, .. } in COMMANDS {
        text += &format!("  cargo xtask {name:<width$}  {about}\n");
    }
    text + "\ncargo xtask help COMMAND describes a command. Exit status: 0 success, 1 failure, 2 usage error.\n"
}

fn explain(command: &Command) {
    let Command {
        name,
        usage,
        about,
        details,
        ..
    } = command;
    println!("cargo xtask {name} {usage}\n\n{about}.\n\n{details}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed_and_found() {
        let text = overview();
        for command in COMMANDS {
            assert!(
                text.contains(&format!("cargo xtask {} ", command.name)),
                "{text}"
            );
            assert!(find(command.name).is_ok());
        }
    }

    #[test]
    fn an_unknown_command_is_a_usage_error_that_lists_the_known_ones() {
        let error = dispatch(lexopt::Parser::from_args(["lairs"])).unwrap_err();
        assert!(error.is::<lexopt::Error>());
        assert!(error.to_string().contains("layers"), "{error}");
    }
}
