//! A gateway with simulated upstreams, and helpers to read its replies.

use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_sim::{Sim, SimOptions};
use reqwest::Response;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A gateway over the simulated upstreams.
pub(crate) struct TestGateway {
    pub(crate) sim: Sim,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

impl TestGateway {
    /// Serves a `config.yaml`. Its variables TOGETHER_BASE and REPLICATE_BASE are the addresses of the
    /// simulation; any other variable is the key of the upstreams.
    pub(crate) async fn start(config: &str, options: SimOptions) -> Self {
        // The client of the test needs a TLS provider; those of the gateway have one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sim = Sim::start(options).await.unwrap();
        let environment = |name: &str| {
            Some(match name {
                "TOGETHER_BASE" => sim.together_url().to_owned(),
                "REPLICATE_BASE" => format!("{}/v1", sim.replicate_url()),
                "LITELLM_MASTER_KEY" => return None,
                _ => "key-of-the-upstream".to_owned(),
            })
        };
        let config = Config::parse(config, &polyllm::registry(), &environment).unwrap();
        assert_eq!(config.warnings, []);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let gateway = Gateway::new(config, GatewayOptions::new().with_simulated(true));
        let served = tokio::spawn(gateway.serve(listener, async move {
            let _ = stopped.await;
        }));
        Self {
            sim,
            url,
            client: reqwest::Client::new(),
            stop,
            served,
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .bearer_auth("sk-1234");
        request.json(body).send().await.unwrap()
    }
}

/// The chunks of a stream that ends with `[DONE]`.
pub(crate) fn chunks(body: &str) -> Vec<Value> {
    let mut data: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{body}");
    data.into_iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}
