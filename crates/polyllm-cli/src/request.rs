//! The common parts of the commands that send requests.

use std::io::{IsTerminal, Read, stdin};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use llm_sim::{Sim, SimOptions};
use polyllm::provider::cleanup;
use polyllm::{ApiKey, Client, Error, ErrorKind, RequestBuilder, Settings};

use crate::args::{Account, ModelOptions};
use crate::output;
use crate::signal::{self, INTERRUPTED};

/// Runs `work` with a client for `account`, until it is done or the process is asked to stop.
///
/// The account's address, if it has one, belongs to `provider`.
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
    // An abandoned prediction is cancelled before the process ends.
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

/// The misuse of a name that no provider has.
pub(crate) fn misuse(error: Error) -> anyhow::Error {
    output::Misuse(output::message(&error.into())).into()
}

/// As [`with_client`], for a request to a model.
pub(crate) async fn with_model(
    options: &ModelOptions,
    work: impl AsyncFnOnce(&Client) -> Result<()>,
) -> Result<ExitCode> {
    let registry = polyllm::registry();
    registry.split(&options.model).map_err(misuse)?;
    let provider = options.model.split('/').next();
    with_client(&options.account, provider, work).await
}

/// Adds the common options to a request.
pub(crate) fn with_options<'c, R>(
    mut request: RequestBuilder<'c, R>,
    options: &ModelOptions,
) -> RequestBuilder<'c, R> {
    for (name, value) in &options.param {
        request = request.with_param(name, value.clone());
    }
    request.with_drop_params(options.drop_params)
}

/// One text: the words of the command line, or standard input for `-` or no words.
pub(crate) fn text(words: &[String]) -> Result<String> {
    let parts = parts(words, |piped| vec![piped.trim_end().to_owned()])?;
    non_empty(parts.join("\n\n"))
}

/// One text with all white space; `-` or none means standard input.
pub(crate) fn exact_text(word: Option<&str>) -> Result<String> {
    let words: Vec<String> = word.into_iter().map(str::to_owned).collect();
    non_empty(parts(&words, |piped| vec![piped])?.concat())
}

fn non_empty(text: String) -> Result<String> {
    if text.trim().is_empty() {
        let reason = "no text: pass it as an argument or on standard input";
        return Err(output::Misuse(reason.to_owned()).into());
    }
    Ok(text)
}

/// Several texts: the words of the command line, or the lines of standard input for `-` or no
/// words.
///
/// Blank lines count, so that result 3 belongs to line 3.
pub(crate) fn texts(words: &[String]) -> Result<Vec<String>> {
    let lines = |piped: String| piped.lines().map(str::to_owned).collect();
    let texts = parts(words, lines)?;
    if texts.iter().all(|text| text.trim().is_empty()) {
        let reason = "no texts: pass them as arguments or as lines of standard input";
        return Err(output::Misuse(reason.to_owned()).into());
    }
    Ok(texts)
}

/// Adds the number of the first blank text to an error that it may have caused: some models reject
/// blank texts without naming them.
pub(crate) fn mention_blank(error: Error, texts: &[String]) -> anyhow::Error {
    let blank = texts.iter().position(|text| text.trim().is_empty());
    match blank {
        Some(index) if error.kind() == ErrorKind::InvalidRequest => {
            let message = output::message(&error.into());
            anyhow!(
                "{message}\n\nText {} is blank; the model may not accept it.",
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
        // Otherwise a user may not notice that the command waits for input.
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
            // The simulated Together is OpenAI-compatible.
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

/// Adds a hint to an error, if there is one.
pub(crate) fn explain(error: anyhow::Error, account: &Account) -> anyhow::Error {
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(ErrorKind::Auth) if !account.simulate => {
            let message = output::message(&error);
            anyhow!("{message}\n\nTo try without a key, add --simulate.")
        }
        _ => error,
    }
}

/// The time for cancellations at the end.
const GRACE: Duration = Duration::from_secs(10);
