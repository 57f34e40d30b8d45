//! The conventions of the public API, checked by the compiler.

use std::fmt::{Debug, Display};

use llm_provider::{Result, Settings, settings_table};
use replicate_api::{
    Account, Collection, DeploymentChange, Machines, NewPrediction, Parameter, Prediction,
    PredictionLimits, PredictionStatus, Release, ReplicateClient, ReplicateDeployment,
    ReplicateModel, Schema, Target, Version, Watch,
};

fn shared<T: Clone + Debug + Send + Sync + 'static>() {}
fn is_send(value: impl Send) -> impl Send {
    value
}

#[test]
fn types_are_shared_cloned_and_printed() {
    shared::<Account>();
    shared::<Collection>();
    shared::<DeploymentChange>();
    shared::<Machines>();
    shared::<NewPrediction>();
    shared::<Parameter>();
    shared::<Prediction>();
    shared::<PredictionLimits>();
    shared::<PredictionStatus>();
    shared::<Release>();
    shared::<ReplicateClient>();
    shared::<ReplicateDeployment>();
    shared::<ReplicateModel>();
    shared::<Schema>();
    shared::<Target>();
    shared::<Version>();
    fn moved<T: Debug + Send + 'static>() {}
    moved::<Watch>();
    fn printed<T: Display>() {}
    printed::<PredictionStatus>();
    printed::<Target>();
}

#[test]
fn conversions_exist() -> Result<()> {
    let target: Target = "acme/model".parse()?;
    assert_eq!(Target::try_from(&*target.to_string())?, target);
    let _ = PredictionStatus::from("succeeded");
    Ok(())
}

#[test]
fn futures_are_send() -> Result<()> {
    let client = ReplicateClient::new(Settings::new().with_api_key("key"))?;
    let new = NewPrediction::new("acme/model".parse()?, serde_json::Map::new());
    drop(is_send(client.create_prediction(&new)));
    drop(is_send(client.prediction("id")));
    drop(is_send(client.cancel_prediction("id")));
    drop(is_send(client.watch_prediction("id")));
    Ok(())
}

#[test]
fn the_readme_lists_the_settings() {
    let table = settings_table(replicate_api::spec().specific_settings());
    assert!(include_str!("../README.md").contains(&table), "{table}");
}
