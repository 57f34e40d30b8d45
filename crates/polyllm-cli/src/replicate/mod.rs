//! `polyllm replicate`: the predictions, deployments and models of an account.

pub(crate) mod args;
mod show;
mod wait;

use std::pin::pin;
use std::process::ExitCode;

use anyhow::Result;
use futures_util::{Stream, StreamExt, TryStreamExt};
use llm_sim::{Sim, SimOptions};
use polyllm::replicate::manage::{DeploymentChange, Machines, ReplicateClient};
use polyllm::{ApiKey, Error, Settings};
use serde::Serialize;

use self::args::{Command, Deployments, Models, Predictions};
use self::show::Tabular;
use crate::args::Account;
use crate::output::{Printed, print};
use crate::request;

pub(crate) async fn run(args: args::Replicate) -> Result<ExitCode> {
    let sim = if args.account.simulate {
        Some(Sim::start(SimOptions::lifelike()).await?)
    } else {
        None
    };
    let client = ReplicateClient::new(settings(&args.account, sim.as_ref()));
    let done = match client {
        Ok(client) => run_with(&client, args.command, args.json).await,
        Err(error) => Err(error.into()),
    };
    if let Some(sim) = sim {
        sim.shutdown().await;
    }
    done.map_err(|error| request::explain(error, &args.account))
}

async fn run_with(client: &ReplicateClient, command: Command, json: bool) -> Result<ExitCode> {
    match command {
        Command::Predictions(Predictions::List(max)) => {
            list(client.predictions(), max.limit, json).await?;
        }
        Command::Predictions(Predictions::Get { id }) => {
            one(&client.prediction(&id).await?, json)?;
        }
        Command::Predictions(Predictions::Cancel { id }) => {
            one(&client.cancel_prediction(&id).await?, json)?;
        }
        Command::Predictions(Predictions::Wait {
            id,
            cancel_on_interrupt,
        }) => return wait::run(client, &id, cancel_on_interrupt, json).await,
        Command::Deployments(command) => deployments(client, command, json).await?,
        Command::Models(Models::List(max)) => {
            list(client.public_models(), max.limit, json).await?;
        }
        Command::Models(Models::Get { name }) => one(&client.model(&name).await?, json)?,
        Command::Versions { model, max } => {
            list(client.versions(&model), max.limit, json).await?;
        }
        Command::Models(Models::Search { words, max }) => {
            list(client.search_models(&words.join(" ")), max.limit, json).await?;
        }
        Command::Account => one(&client.account().await?, json)?,
        Command::WebhookSecret => {
            let secret = client.webhook_secret().await?;
            let secret = secret.expose();
            match json {
                // As the API returns it.
                true => print(format_args!("{}\n", serde_json::json!({ "key": secret })))?,
                false => print(format_args!("{secret}\n"))?,
            };
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn deployments(client: &ReplicateClient, command: Deployments, json: bool) -> Result<()> {
    let deployment = match command {
        Deployments::List(max) => {
            return list(client.deployments(), max.limit, json).await;
        }
        Deployments::Delete { name } => return Ok(client.delete_deployment(&name).await?),
        Deployments::Get { name } => client.deployment(&name).await?,
        Deployments::Create {
            name,
            model,
            version,
            hardware,
            min_instances,
            max_instances,
        } => {
            let machines = Machines::default()
                .with_hardware(hardware)
                .with_min_instances(min_instances)
                .with_max_instances(max_instances);
            let new = DeploymentChange::default()
                .with_name(name)
                .with_model(model)
                .with_version(version)
                .with_machines(machines);
            client.create_deployment(&new).await?
        }
        Deployments::Update { name, change } => {
            let mut update = DeploymentChange::default();
            update.version = change.version;
            update.machines.hardware = change.hardware;
            update.machines.min_instances = change.min_instances;
            update.machines.max_instances = change.max_instances;
            client.update_deployment(&name, &update).await?
        }
    };
    one(&deployment, json)
}

/// Prints the first entries of a list: a table, or a line of JSON for each as it arrives.
async fn list<T: Tabular + Serialize>(
    entries: impl Stream<Item = Result<T, Error>>,
    limit: usize,
    json: bool,
) -> Result<()> {
    let mut entries = pin!(entries.take(limit));
    if !json {
        let entries: Vec<T> = entries.try_collect().await?;
        print(show::table(&entries))?;
        return Ok(());
    }
    while let Some(entry) = entries.try_next().await? {
        if line(&entry)? == Printed::ReaderGone {
            break;
        }
    }
    Ok(())
}

fn one<T: Tabular + Serialize>(document: &T, json: bool) -> Result<()> {
    if json {
        line(document)?;
    } else {
        print(document.details())?;
    }
    Ok(())
}

fn line(document: &impl Serialize) -> Result<Printed> {
    print(format_args!("{}\n", serde_json::to_string(document)?))
}

fn settings(account: &Account, sim: Option<&Sim>) -> Settings {
    match (sim, &account.api_base) {
        (Some(sim), _) => Settings::new()
            .with_api_base(sim.replicate_url())
            .with_api_key(ApiKey::new("simulated")),
        (None, Some(base)) => Settings::new().with_api_base(base),
        (None, None) => Settings::new(),
    }
}
