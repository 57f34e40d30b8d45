//! What the commands that ask a provider have in common.

use std::io::{IsTerminal, Read, stdin};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use llm_sim::{Sim, SimOptions};
use polyllm::provider::cleanup;
use polyllm::{ApiKey, Client, Error, ErrorKind, RequestBuilder, Settings};

use crate::args::{Account, Question};
use crate::output;
use crate::signal::{self, INTERRUPTED};

/// Does `work` with a client of `account`, until it is done or the process is asked to stop.
///
/// `provider` is whose address the account's is, if it has one.
pub(crate) async fn with_client(
    account: &Account,
    provider: Option<&str>,
    work: impl AsyncFnOnce(&Client) -> Result<()>,
) -> Result<ExitCode> {
    let sim = if account.simulate {
        Some(Sim::start(SimOptions::lifelike()).await?)
    } else {
        None
    };
    let client = client(account, provider, sim.as_ref())?;
    let stopped = tokio::select! {
        done = work(&client) => done.map_err(|error| explain(error, account)).map(|()| false),
        () = signal::stop() => Ok(true),
    };
    // A prediction that was abandoned is cancelled before the process ends.
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

/// As [`with_client`], for a question to a model.
pub(crate) async fn with_model(
    question: &Question,
    work: impl AsyncFnOnce(&Client) -> Result<()>,
) -> Result<ExitCode> {
    let provider = question.model.split('/').next();
    with_client(&question.account, provider, work).await
}

/// The request with what every question has.
pub(crate) fn asked<'c, R>(
    mut request: RequestBuilder<'c, R>,
    question: &Question,
) -> RequestBuilder<'c, R> {
    for (name, value) in &question.param {
        request = request.with_param(name, value.clone());
    }
    request.with_drop_params(question.drop_params)
}

/// One text: the words of the command line; `-`, or no words at all, stands for standard input.
pub(crate) fn text(words: &[String]) -> Result<String> {
    let parts = parts(words, |piped| vec![piped.trim_end().to_owned()])?;
    said(parts.join("\n\n"))
}

/// One text with all its white space; `-`, or none, stands for standard input.
pub(crate) fn exact_text(word: Option<&str>) -> Result<String> {
    let words: Vec<String> = word.into_iter().map(str::to_owned).collect();
    said(parts(&words, |piped| vec![piped])?.concat())
}

fn said(text: String) -> Result<String> {
    if text.trim().is_empty() {
        bail!("there is nothing to say: give a text, or pipe one in");
    }
    Ok(text)
}

/// Several texts: the words of the command line; `-`, or no words at all, stands for the lines of
/// standard input.
///
/// A blank line is a text, too: the answers of a provider are numbered, and number 3 has to be about
/// line 3.
pub(crate) fn texts(words: &[String]) -> Result<Vec<String>> {
    let lines = |piped: String| piped.lines().map(str::to_owned).collect();
    let texts = parts(words, lines)?;
    if texts.iter().all(|text| text.trim().is_empty()) {
        bail!("there is no text: give some, or pipe in a line for each");
    }
    Ok(texts)
}

/// Adds the number of the first blank text to an error that it may have caused: some models refuse
/// blank texts, without telling which it was.
pub(crate) fn point_at_blank(error: Error, texts: &[String]) -> anyhow::Error {
    let blank = texts.iter().position(|text| text.trim().is_empty());
    match blank {
        Some(index) if error.kind() == ErrorKind::InvalidRequest => {
            let message = output::message(&error.into());
            anyhow!(
                "{message}\n\nText {} is blank; the model may not take it.",
                index + 1
            )
        }
        _ => error.into(),
    }
}

fn parts(words: &[String], of_stdin: impl Fn(String) -> Vec<String>) -> Result<Vec<String>> {
    let from_stdin = || {
        let mut piped = String::new();
        stdin()
            .read_to_string(&mut piped)
            .context("cannot read standard input")?;
        Ok::<_, anyhow::Error>(of_stdin(piped))
    };
    if words.is_empty() {
        // Nobody knows that a terminal waits for them.
        return if stdin().is_terminal() {
            Ok(Vec::new())
        } else {
            from_stdin()
        };
    }
    let mut parts = Vec::new();
    for word in words {
        if word == "-" {
            parts.extend(from_stdin()?);
        } else {
            parts.push(word.clone());
        }
    }
    Ok(parts)
}

fn client(account: &Account, provider: Option<&str>, sim: Option<&Sim>) -> Result<Client> {
    if let Some(sim) = sim {
        let at = |base: &str| {
            let key = ApiKey::new("simulated");
            Settings::new().with_api_base(base).with_api_key(key)
        };
        return Ok(Client::new(polyllm::registry())
            // The simulated Together speaks OpenAI's wire.
            .with_settings(polyllm::openai::NAME, at(sim.together_url()))?
            .with_settings(polyllm::together::NAME, at(sim.together_url()))?
            .with_settings(polyllm::replicate::NAME, at(sim.replicate_url()))?);
    }
    Ok(match (&account.api_base, provider) {
        (Some(base), Some(provider)) => Client::new(polyllm::registry())
            .with_settings(provider, Settings::new().with_api_base(base))?,
        _ => Client::from_env()?,
    })
}

/// Adds what to do next to an error that has an answer.
pub(crate) fn explain(error: anyhow::Error, account: &Account) -> anyhow::Error {
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(ErrorKind::Auth) if !account.simulate => {
            let message = output::message(&error);
            anyhow!("{message}\n\nTo try without a key, add --simulate.")
        }
        _ => error,
    }
}

/// How long cancelling may take at the end.
const GRACE: Duration = Duration::from_secs(10);
