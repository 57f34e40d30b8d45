use std::process::ExitCode;

use anyhow::Result;
use polyllm::types::{Map, Model, Value};
use polyllm::{Client, Error, ErrorKind};

use crate::output::{self, Colour, Printed, note, print};
use crate::{args, request};

pub(crate) async fn run(args: args::Models) -> Result<ExitCode> {
    if let Some(provider) = &args.provider {
        let registry = polyllm::registry();
        registry.find(provider).map_err(request::misuse)?;
    }
    request::with_client(&args.account, args.provider.as_deref(), async |client| {
        let mut models = match &args.provider {
            Some(provider) => list(client, provider).await?,
            None => list_all(client).await?,
        };
        models.retain(|model| {
            let contains = |name: &String| model.id.to_lowercase().contains(&name.to_lowercase());
            let is = |type_: &String| text(&model.extra, "type").eq_ignore_ascii_case(type_);
            args.name.as_ref().is_none_or(contains) && args.type_.as_ref().is_none_or(is)
        });
        models.sort_by_cached_key(|model| model.id.to_lowercase());
        if args.json {
            for model in &models {
                let line = serde_json::to_string(model)?;
                if print(format_args!("{line}\n"))? == Printed::ReaderGone {
                    break;
                }
            }
        } else {
            print(table(&models))?;
        }
        Ok(())
    })
    .await
}

/// The models of a provider, under polyllm's names.
async fn list(client: &Client, provider: &str) -> Result<Vec<Model>, Error> {
    let mut models = client.models(provider).await?.data;
    for model in &mut models {
        model.id = format!("{provider}/{}", model.id);
    }
    Ok(models)
}

/// The models of all providers with a list; providers without a key are noted.
async fn list_all(client: &Client) -> Result<Vec<Model>> {
    let (mut models, mut locked) = (Vec::new(), Vec::new());
    for provider in polyllm::registry().names() {
        match list(client, provider).await {
            Ok(listed) => models.extend(listed),
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) if error.kind() == ErrorKind::Auth && error.status().is_none() => {
                locked.push(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if models.is_empty()
        && let Some(error) = locked.pop()
    {
        return Err(error.into());
    }
    for error in locked {
        note("note", Colour::Yellow, error);
    }
    Ok(models)
}

fn table(models: &[Model]) -> String {
    let head = ["MODEL", "TYPE", "CONTEXT", "IN", "OUT"].map(str::to_owned);
    let rows = [head].into_iter().chain(models.iter().map(row));
    output::table(&rows.map(Vec::from).collect::<Vec<_>>(), 2)
}

fn row(model: &Model) -> [String; 5] {
    let price = |side| {
        let pricing = model.extra.get("pricing").and_then(Value::as_object);
        let price = pricing.and_then(|pricing| pricing.get(side)?.as_f64());
        price.map_or_else(String::new, |usd| format!("${usd}"))
    };
    let context = model.extra.get("context_length").and_then(Value::as_u64);
    [
        model.id.clone(),
        text(&model.extra, "type").to_owned(),
        context.map_or_else(String::new, |tokens| tokens.to_string()),
        price("input"),
        price("output"),
    ]
}

fn text<'m>(extra: &'m Map<String, Value>, key: &str) -> &'m str {
    extra.get(key).and_then(Value::as_str).unwrap_or_default()
}
