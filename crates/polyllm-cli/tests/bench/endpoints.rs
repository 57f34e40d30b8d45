//! The APIs for text, against a gateway in front of the simulation.

use std::fs;
use std::time::Duration;

use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_sim::Timing;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::{Bench, number, runs};

/// Serves a gateway for the rest of the test; returns its address.
fn gateway(bench: &Bench) -> String {
    let base = bench.sim().together_url().to_owned();
    let config = "
model_list:
  - model_name: m
    litellm_params:
      model: together_ai/openai/gpt-oss-20b
      api_base: os.environ/TOGETHER_BASE
      api_key: os.environ/KEY
";
    let environment = move |name: &str| {
        Some(match name {
            "TOGETHER_BASE" => base.clone(),
            "LITELLM_MASTER_KEY" => return None,
            _ => "key-of-the-upstream".to_owned(),
        })
    };
    let config = Config::parse(config, &polyllm::registry(), &environment).unwrap();
    bench.runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let gateway = Gateway::new(config, GatewayOptions::new().with_simulated(true));
        tokio::spawn(gateway.serve(listener, std::future::pending()));
        url
    })
}

#[test]
fn every_text_api_is_measured_as_a_stream_and_in_one_piece() {
    let bench = Bench::new(Timing::default().with_first_token(Duration::from_millis(20)));
    let base = gateway(&bench);
    for api in ["chat", "completions", "messages", "responses"] {
        for (mode, option) in [("stream", ""), ("whole", "--no-stream")] {
            let name = format!("{api}-{mode}");
            let (_, errors, code) = bench.run(&format!(
                "--api-backend vllm --api-base {base} --api-key k --api-model-name m \
                 --endpoint-type {api} {option} --traffic-scenario 'D(20,100)' --num-concurrency 2 \
                 --max-requests-per-run 6 --no-calibration --experiment-folder-name {name}"
            ));
            assert_eq!(code, 0, "{name}: {errors}");
            let folder = bench.folder.path().join(&name);
            let run = &runs(&folder)[0];
            assert_eq!(number(run, "num_completed_requests"), 6.0, "{name}");
            let mean = |metric: &str| {
                let stats = &run["aggregated_metrics"]["stats"];
                stats[metric]["mean"].as_f64().unwrap_or(f64::NAN)
            };
            // Other APIs cannot ask for an exact length.
            let is_exact = ["chat", "completions"].contains(&api);
            let output = mean("num_output_tokens");
            assert!(
                output <= 100.0 && output > if is_exact { 99.0 } else { 9.0 },
                "{name}"
            );
            assert!(mean("num_input_tokens") > 10.0, "{name}");
            assert!(mean("ttft") >= 0.020, "{name}");
            assert!(mean("ttfo") >= mean("ttft"), "{name}");
            let sources = &run["aggregated_metrics"]["extra"]["token_sources"];
            assert_eq!(sources["server"], 6, "{name}: {sources}");
            let metadata = fs::read_to_string(folder.join("experiment_metadata.json")).unwrap();
            let metadata: Value = serde_json::from_str(&metadata).unwrap();
            assert_eq!(metadata["polyllm"]["text_api"], api);
        }
    }
}

#[test]
fn an_unsupported_api_is_a_usage_error() {
    let bench = Bench::new(Timing::default());
    for options in [
        "--endpoint-type chats",
        "--endpoint-type messages --task text-to-embeddings",
        "--endpoint-type responses --api-backend replicate",
    ] {
        let (_, errors, code) = bench.run(&format!(
            "--api-base $BASE --api-key k --api-model-name a/b {options}"
        ));
        assert_eq!(code, 2, "{options}: {errors}");
        assert!(errors.contains("--endpoint-type"), "{errors}");
    }
}

#[test]
fn metrics_of_the_server_are_read_during_a_run() {
    let timing = Timing::default().with_first_token(Duration::from_millis(300));
    let bench = Bench::new(timing);
    let base = gateway(&bench);
    let (_, errors, code) = bench.run(&format!(
        "--api-backend openai --api-base {base} --api-key k --api-model-name m \
         --server-metrics {base}/metrics --server-metrics {base}/nothing \
         --server-metrics http://127.0.0.1:9/metrics --traffic-scenario 'D(20,4)' --num-concurrency 2 \
         --max-requests-per-run 20 --no-calibration --experiment-folder-name s"
    ));
    assert_eq!(code, 0, "{errors}");
    let folder = bench.folder.path().join("s");
    let run = &runs(&folder)[0];
    let series = run["polyllm"]["run"]["server"].as_array().unwrap();
    let name = |series: &Value| series["name"].as_str().unwrap().to_owned();
    let total = series
        .iter()
        .find(|series| name(series) == "polyllm_requests_total");
    let points = total.unwrap()["points"].as_array().unwrap();
    assert!(points.len() >= 3, "{points:?}");
    let rising = points
        .windows(2)
        .all(|pair| pair[0][1].as_f64() <= pair[1][1].as_f64());
    assert!(rising, "{points:?}");
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("polyllm_requests_total"));
    let unread = run["polyllm"]["run"]["client"]["unread_metrics"]
        .as_array()
        .unwrap();
    let unread: Vec<&str> = unread.iter().filter_map(Value::as_str).collect();
    assert_eq!(unread.len(), 2, "{unread:?}");
    assert!(
        unread[0].starts_with(&format!("{base}/nothing: 404")),
        "{unread:?}"
    );
    assert!(
        unread[1].starts_with("http://127.0.0.1:9/metrics: "),
        "{unread:?}"
    );
    assert!(page.contains("The metrics of a server were not read: http://127.0.0.1:9/metrics"));
}
