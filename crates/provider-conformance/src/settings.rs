//! Settings: the declared ones are accepted, others are rejected.

use llm_provider::{ErrorKind, ProviderSpec, Result, SettingSpec, Settings, ValueKind};
use serde_json::{Map, Value, json};

use crate::Simulation;
use crate::harness::KEY;

pub(crate) async fn declared_settings(simulation: &dyn Simulation) {
    let spec = simulation.spec();
    match build(simulation, with_all(&spec)) {
        Ok(name) => assert_eq!(spec.name(), name, "the declaration has another name"),
        Err(error) => panic!("the declared settings are rejected: {error:?}"),
    }
    for setting in spec
        .settings()
        .iter()
        .filter(|setting| !setting.is_common())
    {
        if let Some(wrong) = wrong_type(setting.kind) {
            assert_rejected(simulation, setting.name, wrong);
        }
    }
    assert_rejected(simulation, "no_such_setting", VALUE.into());
}

/// Checks that the provider rejects the setting by name, and does not show its value.
fn assert_rejected(simulation: &dyn Simulation, name: &str, value: Value) {
    let settings = settings(&Map::from_iter([(name.to_owned(), value)]));
    let Err(error) = build(simulation, settings) else {
        panic!("{name} is accepted although it is not declared, or has a wrong type");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}: {error:?}");
    assert_eq!(error.param(), Some(name), "{name}: {error:?}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(VALUE), "the error shows a setting: {shown}");
}

/// Builds the provider, and returns its name.
fn build(simulation: &dyn Simulation, settings: Settings) -> Result<&'static str> {
    Ok(simulation.provider(settings)?.name())
}

/// All declared settings, except for files, which would have to exist.
fn with_all(spec: &ProviderSpec) -> Settings {
    let declared = spec.settings().iter();
    let values = declared.filter_map(|setting| Some((setting.name.to_owned(), example(setting)?)));
    settings(&values.collect())
}

/// Settings with a key, an address and `values`.
fn settings(values: &Map<String, Value>) -> Settings {
    let mut all = Map::from_iter([
        ("api_key".to_owned(), KEY.into()),
        ("api_base".to_owned(), "http://127.0.0.1:1".into()),
    ]);
    all.extend(values.clone());
    let settings = Settings::try_from(all);
    settings.unwrap_or_else(|error| panic!("these are not settings: {error:?}"))
}

/// A valid value of a setting: its default, or one of its type.
fn example(setting: &SettingSpec) -> Option<Value> {
    if let Some(default) = setting.default {
        return Some(default.into());
    }
    Some(match setting.kind {
        ValueKind::Bool => json!(true),
        ValueKind::Choice(choices) => json!(choices.first()),
        ValueKind::Count { .. } | ValueKind::Integer => json!(1),
        ValueKind::Headers => json!({ "x-team": "blue" }),
        ValueKind::List => json!([]),
        ValueKind::Map => json!({}),
        ValueKind::Number | ValueKind::PositiveSeconds | ValueKind::Seconds => json!(1.5),
        ValueKind::Secret => json!(KEY),
        // Texts, not inner mappings: a template with separators takes only those.
        ValueKind::TextMap { .. } => json!({ "user": "User: " }),
        ValueKind::Url => json!("http://127.0.0.1:1"),
        ValueKind::Path => return None,
        _ => json!("text"),
    })
}

/// A value that no setting of this type can have.
fn wrong_type(kind: ValueKind) -> Option<Value> {
    match kind {
        ValueKind::Any | ValueKind::List => None,
        _ => Some(json!([[7]])),
    }
}

const VALUE: &str = "value-71c0";
