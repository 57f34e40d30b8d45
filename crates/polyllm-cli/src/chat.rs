use std::io::{IsTerminal, Read, Write, stderr, stdin};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use llm_sim::{Sim, SimOptions};
use polyllm::provider::{Progress, cleanup};
use polyllm::{ApiKey, ChatEvent, ChatStream, Client, Error, ErrorKind, Settings};

use crate::args;
use crate::output::{Printed, coloured, print};
use crate::signal;

pub(crate) async fn run(args: args::Chat) -> Result<ExitCode> {
    let text = text(&args.text)?;
    let sim = if args.simulate {
        Some(Sim::start(SimOptions::lifelike()).await?)
    } else {
        None
    };
    let client = client(&args, sim.as_ref())?;
    let stopped = tokio::select! {
        done = ask(&client, &args, text) => done.map_err(|error| explain(error, &args)).map(|()| false),
        () = signal::stop() => Ok(true),
    };
    // A prediction that was left behind is cancelled before the process goes.
    cleanup::finish(GRACE).await;
    if let Some(sim) = sim {
        sim.shutdown().await;
    }
    Ok(if stopped? {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

fn client(args: &args::Chat, sim: Option<&Sim>) -> Result<Client> {
    let client = Client::from_env()?;
    let Ok((provider, _)) = polyllm::registry().split(&args.model) else {
        return Ok(client);
    };
    let mut settings = Settings::new();
    if let Some(sim) = sim {
        let base = match provider {
            polyllm::together::NAME => sim.together_url(),
            _ => sim.replicate_url(),
        };
        settings = settings
            .with_api_base(base)
            .with_api_key(ApiKey::new("simulated"));
    } else if let Some(base) = &args.api_base {
        settings = settings.with_api_base(base);
    }
    Ok(client.with_settings(provider, settings))
}

async fn ask(client: &Client, args: &args::Chat, text: String) -> Result<()> {
    let mut chat = client.chat(&args.model);
    if let Some(system) = &args.system {
        chat = chat.with_system(system.as_str());
    }
    chat = chat.with_user(text).with_request(|request| {
        request.max_tokens = args.max_tokens;
        request.temperature = args.temperature.map(Into::into);
    });
    for (name, value) in &args.param {
        chat = chat.with_param(name, value.clone());
    }
    if args.drop_params {
        chat = chat.with_drop_params();
    }
    if args.no_stream {
        let reply = chat.reply().await?;
        if args.json {
            print(format_args!(
                "{}\n",
                String::from_utf8_lossy(reply.body.bytes())
            ))?;
        } else {
            let response = reply.body.value()?;
            print(format_args!("{}\n", response.text().unwrap_or_default()))?;
        }
        return Ok(());
    }
    show(chat.stream().await?, args.json).await
}

async fn show(stream: ChatStream, json: bool) -> Result<()> {
    let mut in_line = false;
    let shown = pour(stream, json, &mut in_line).await;
    // What comes next, be it an error or a prompt, has a line of its own.
    if in_line {
        print("\n")?;
    }
    shown
}

/// Prints a stream; `in_line` tells, also after a failure, whether the last line is open.
async fn pour(mut stream: ChatStream, json: bool, in_line: &mut bool) -> Result<()> {
    let mut waiting = Waiting::default();
    let mut said = false;
    while let Some(event) = stream.next().await {
        let printed = match event? {
            ChatEvent::Progress(progress) => {
                waiting.show(&progress);
                continue;
            }
            ChatEvent::Chunk(chunk) if json => {
                print(format_args!("{}\n", String::from_utf8_lossy(chunk.bytes())))?
            }
            ChatEvent::Chunk(chunk) => match chunk.value()?.text() {
                Some(text) if !text.is_empty() => {
                    waiting.clear();
                    *in_line = !text.ends_with('\n');
                    print(text)?
                }
                _ => continue,
            },
            _ => continue,
        };
        if printed == Printed::ReaderGone {
            return Ok(());
        }
        said = true;
    }
    // An answer without text is an empty line.
    *in_line |= !json && !said;
    Ok(())
}

/// The line that tells, on a terminal, that a model is still booting.
#[derive(Default)]
struct Waiting {
    shown: bool,
}

impl Waiting {
    fn show(&mut self, progress: &Progress) {
        if stderr().is_terminal() {
            let seconds = progress.elapsed.as_secs();
            let (dim, end) = if coloured(&stderr()) {
                ("\u{1b}[2m", "\u{1b}[0m")
            } else {
                ("", "")
            };
            let _ = write!(
                stderr(),
                "\r{dim}{}, {seconds} s{end}\u{1b}[K",
                progress.status
            );
            self.shown = true;
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}

/// Whatever ends the waiting, an error too, finds the line empty.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The words of the command line; `-`, or no words at all, stands for standard input.
fn text(words: &[String]) -> Result<String> {
    let from_stdin = || {
        let mut piped = String::new();
        stdin()
            .read_to_string(&mut piped)
            .context("cannot read standard input")?;
        Ok::<_, anyhow::Error>(piped.trim_end().to_owned())
    };
    let text = match words {
        [] if stdin().is_terminal() => String::new(),
        [] => from_stdin()?,
        words => {
            let part = |word: &String| {
                if word == "-" {
                    from_stdin()
                } else {
                    Ok(word.clone())
                }
            };
            words
                .iter()
                .map(part)
                .collect::<Result<Vec<_>>>()?
                .join("\n\n")
        }
    };
    if text.trim().is_empty() {
        bail!("there is nothing to say: give a text, or pipe one in");
    }
    Ok(text)
}

/// Adds what to do next to an error that has an answer.
fn explain(error: anyhow::Error, args: &args::Chat) -> anyhow::Error {
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(ErrorKind::Auth) if !args.simulate => {
            anyhow::anyhow!("{error:#}\n\nTo try without a key, add --simulate.")
        }
        _ => error,
    }
}

/// How long cancelling may take at the end.
const GRACE: Duration = Duration::from_secs(10);

/// The exit status of a process that Ctrl-C ended, by the shells' habit.
const INTERRUPTED: u8 = 130;
