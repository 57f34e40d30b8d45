//! The plan that a leader sends to its workers.

use anyhow::{Result, anyhow};
use llm_bench::{Backend, ServerTarget};
use llm_provider::text::excerpt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::args::{Api, Bench, Distributed, Load, Measurement, Output, Prompts};
use crate::bench::limits;
use crate::bench::mlflow::Mlflow;
use crate::bench::option_values::{TimeUnit, weighted};
use crate::bench::theirs::Theirs;

/// The options of `polyllm bench` that a leader decides. Others, such as keys and output folders,
/// are skipped by serde, and unknown fields are errors, so no message can set them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    api: Api,
    load: Load,
    prompts: Prompts,
    measuring: Measurement,
}

impl Plan {
    /// The plan of the leader's own options.
    ///
    /// # Errors
    /// If a number or an address is invalid.
    pub(crate) fn of(args: &Bench) -> Result<Self> {
        limits::check(args)?;
        for text in &args.prompts.traffic_scenario {
            crate::bench::option_values::scenarios(text)?;
        }
        let mut api = args.api.clone();
        let backend = Backend::from(api.api_backend);
        let against = api.against_backend.map_or(backend, Backend::from);
        // The target's display form, without user and password.
        for (base, backend) in [(&mut api.api_base, backend), (&mut api.against, against)] {
            if let Some(url) = base {
                let parts = weighted(url).map_err(|reason| anyhow!("--api-base: {reason}"))?;
                let parts = parts.into_iter().map(|(url, weight)| {
                    let target = ServerTarget::new(backend, &url, None)?;
                    Ok(match weight {
                        1.0 => target.to_string(),
                        weight => format!("{target}={weight}"),
                    })
                });
                *url = parts.collect::<Result<Vec<_>>>()?.join(",");
            }
        }
        Ok(Self {
            api,
            load: args.load.clone(),
            prompts: args.prompts.clone(),
            measuring: args.measuring.clone(),
        })
    }

    /// Parses the plan of a leader.
    pub(crate) fn read(plan: Value) -> Result<Self> {
        serde_json::from_value(plan).map_err(|error| {
            // The error may quote the plan.
            let error = error.to_string();
            anyhow!(
                "invalid plan of the leader, possibly of another version: {}",
                excerpt(&error)
            )
        })
    }

    /// The options of the benchmark on this machine. They are checked like a command line.
    pub(crate) fn into_bench(self, base_dir: std::path::PathBuf) -> Bench {
        let Self {
            mut api,
            load,
            prompts,
            measuring,
        } = self;
        api.api_key = std::env::var(MODEL_API_KEY)
            .ok()
            .and_then(|key| key.parse().ok());
        Bench {
            command: None,
            api,
            load,
            prompts,
            measuring,
            output: Output {
                experiment_folder_name: None,
                experiment_base_dir: Some(base_dir),
                metrics_time_unit: TimeUnit::Ms,
                json: false,
                mlflow: Mlflow::default(),
            },
            distributed: Distributed::default(),
            theirs: Theirs::default(),
        }
    }
}

const MODEL_API_KEY: &str = "MODEL_API_KEY";

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::args::{Args, Command};

    fn plan(options: &str) -> Value {
        let line = format!("polyllm bench --api-model-name m {options}");
        let args = Args::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Bench(bench) = args.command else {
            panic!("{line}");
        };
        serde_json::to_value(Plan::of(&bench).unwrap()).unwrap()
    }

    #[test]
    fn a_plan_has_exactly_these_options() {
        let plan = plan("");
        let options = plan.as_object().unwrap().values().flat_map(|part| {
            let names = part.as_object().unwrap().keys();
            names.map(String::as_str).collect::<Vec<_>>()
        });
        let mut options: Vec<&str> = options.collect();
        options.sort_unstable();
        assert_eq!(
            options.join(" "),
            "additional_request_params against against_backend api_backend api_base \
             api_model_name arrivals attainment batch_size cold_after cooldown_ratio \
             dataset_config dataset_image_column dataset_path dataset_prompt_column \
             drain_timeout endpoint_type find_max_load goodput goodput_tier iteration_type \
             keep_going max_concurrency max_cost max_errors max_requests_per_run \
             max_time_per_run model_label model_tokenizer new_connections no_calibration \
             no_stream num_concurrency num_workers poll_interval prefix_len prefix_ratio \
             price ramp_up rate_limit_retries repeat request_rate search_limit seed \
             server_engine server_gpu_count server_gpu_type server_version spawn_rate \
             stop_on_saturation task timeout trace trace_speed traffic_scenario warmup_ratio"
        );
    }

    #[test]
    fn a_plan_contains_no_key_and_sets_none() {
        let secret = "--api-key tgp_v1_secret --api-base https://me:tgp_v1_secret@h \
                      --against https://me:tgp_v1_secret@i --against-api-key tgp_v1_secret";
        let sent = plan(secret);
        assert!(!sent.to_string().contains("secret"), "{sent}");
        assert_eq!(sent["api"]["api_base"], "https://h/v1");
        for (part, field, value) in [
            ("api", "api_key", json!("k")),
            ("api", "against_api_key", json!("k")),
            ("measuring", "calibrate", json!(true)),
            ("prompts", "experiment_base_dir", json!("/")),
            ("load", "coordinator", json!("redis://h")),
        ] {
            let mut sent = sent.clone();
            sent[part][field] = value;
            assert!(Plan::read(sent).is_err(), "{field}");
        }
        let mut sent = sent;
        sent["output"] = json!({});
        assert!(Plan::read(sent).is_err());
        for other in [json!(null), json!([]), json!({}), json!({"api": {}})] {
            assert!(Plan::read(other).is_err());
        }
    }

    #[test]
    fn a_plan_round_trips() {
        let sent = plan(
            "--request-rate 1..20,7 --arrivals gamma:0.5 --max-time-per-run 90s --price 0.2,0.6 \
             --task text-to-embeddings --iteration-type batch_size --seed 18446744073709551615 \
             --traffic-scenario E(64),E(128) --api-backend vllm --api-base http://h",
        );
        let read = Plan::read(sent.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), sent);
        let bench = read.into_bench("out".into());
        assert_eq!(bench.load.request_rate.len(), 2);
        assert!(limits::check(&bench).is_ok());
    }

    #[test]
    fn numbers_of_a_plan_are_checked_like_a_command_line() {
        let sent = plan("");
        for (part, field, value) in [
            ("load", "num_concurrency", json!([4_294_967_295_u32])),
            ("load", "max_requests_per_run", json!(u64::MAX)),
            ("measuring", "num_workers", json!(100_000)),
            (
                "measuring",
                "timeout",
                json!({"secs": u64::MAX, "nanos": 0}),
            ),
            ("api", "server_engine", json!("x".repeat(10_000))),
        ] {
            let mut sent = sent.clone();
            sent[part][field] = value;
            let bench = Plan::read(sent).unwrap().into_bench("out".into());
            assert!(limits::check(&bench).is_err(), "{field}");
        }
    }
}
