//! `--mlflow`: exports the runs of an experiment to a tracking server by MLflow's REST API 2.0.

mod content;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use llm_bench::Results;
use llm_bench::summary::RunSummary;
use llm_http::HttpClient;
use llm_provider::Secrets;
use llm_provider::text::{excerpt, printable};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use self::content::{end_ms, metrics, params, status, tags};
use crate::exchange::exchange;

/// Where to export runs.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Mlflow {
    /// Also export the runs to this MLflow tracking server, with the key of MLFLOW_TRACKING_TOKEN, or
    /// with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD
    #[arg(id = "mlflow", long = "mlflow", value_name = "URL")]
    url: Option<String>,
    /// The experiment of MLflow, which is created if it is missing
    #[arg(
        id = "mlflow_experiment",
        long = "mlflow-experiment",
        value_name = "NAME",
        default_value = "Default",
        env = "MLFLOW_EXPERIMENT_NAME",
        hide_env_values = true
    )]
    experiment: String,
}

/// A tracking server with its credentials.
#[derive(Debug)]
pub(crate) struct TrackingServer {
    /// Without a trailing slash.
    url: String,
    experiment: String,
    authorization: Option<HeaderValue>,
    secrets: Secrets,
}

/// Why runs were not exported. Contains no credentials.
#[derive(Debug, thiserror::Error)]
#[error("the runs were not exported to MLflow: {path}: {reason}")]
pub(crate) struct ExportError {
    path: &'static str,
    reason: String,
}

impl Mlflow {
    /// Whether the command line names an experiment, but no server. The environment may do so.
    pub(crate) fn lacks_server(&self) -> bool {
        let variable = std::env::var("MLFLOW_EXPERIMENT_NAME").ok();
        let is_given = self.experiment != "Default" && variable.as_ref() != Some(&self.experiment);
        is_given && self.url.is_none()
    }

    /// The server, if one is given.
    ///
    /// # Errors
    /// A usage error if the address is invalid, or the credentials cannot be sent.
    pub(crate) fn server(&self) -> Result<Option<TrackingServer>, llm_bench::Error> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let usage = |reason: &str| llm_bench::Error::Usage {
            option: "--mlflow",
            value: excerpt(&Secrets::new(Secrets::in_url(url)).redact(url)).into_owned(),
            reason: reason.to_owned(),
        };
        let uri: Option<Uri> = url.parse().ok();
        let uri = uri.filter(|uri| {
            let is_http = ["http", "https"].contains(&uri.scheme_str().unwrap_or_default());
            is_http && uri.query().is_none() && uri.host().is_some_and(|host| !host.is_empty())
        });
        let uri = uri.ok_or_else(|| usage("expected an address such as http://127.0.0.1:5000"))?;
        if uri
            .authority()
            .is_some_and(|host| host.as_str().contains('@'))
        {
            return Err(usage(
                "expected no user in the address: set MLFLOW_TRACKING_USERNAME and \
                 MLFLOW_TRACKING_PASSWORD",
            ));
        }
        let invalid = || usage("the credentials of the environment are not valid in a header");
        let (authorization, secrets) = match credentials() {
            None => (None, Vec::new()),
            Some(text) => {
                let mut value = HeaderValue::from_str(&text).map_err(|_| invalid())?;
                value.set_sensitive(true);
                let secrets = Secrets::in_header(&value);
                (Some(value), secrets)
            }
        };
        Ok(Some(TrackingServer {
            url: url.trim_end_matches('/').to_owned(),
            experiment: self.experiment.clone(),
            authorization,
            secrets: Secrets::new(secrets),
        }))
    }
}

/// The value of the header, from the variables of MLflow's own client.
fn credentials() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    if let Some(user) = variable("MLFLOW_TRACKING_USERNAME") {
        let password = variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
        let text = STANDARD.encode(format!("{user}:{password}"));
        return Some(format!("Basic {text}"));
    }
    Some(format!("Bearer {}", variable("MLFLOW_TRACKING_TOKEN")?))
}

impl TrackingServer {
    /// Exports all runs of an experiment, each as a run of MLflow.
    pub(crate) async fn export(&self, results: &Results) -> Result<(), ExportError> {
        let experiment = self.experiment_id().await?;
        for run in &results.runs {
            self.export_run(&experiment, results, run).await?;
        }
        Ok(())
    }

    async fn experiment_id(&self) -> Result<String, ExportError> {
        let (path, name) = ("experiments/get-by-name", &self.experiment);
        let query = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let query = format!("?experiment_name={query}");
        let (status, found) = self.call(Method::GET, path, &query, None).await?;
        if status != StatusCode::NOT_FOUND {
            let found = self.check(path, status, found)?;
            return text(path, &found["experiment"]["experiment_id"]);
        }
        let path = "experiments/create";
        let made = self.post(path, &json!({"name": name})).await?;
        text(path, &made["experiment_id"])
    }

    async fn export_run(
        &self,
        experiment: &str,
        results: &Results,
        run: &RunSummary,
    ) -> Result<(), ExportError> {
        let created = json!({
            "experiment_id": experiment,
            "run_name": run.label(),
            "start_time": run.run.started_at_ms,
            "tags": tags(&results.experiment),
        });
        let path = "runs/create";
        let made = self.post(path, &created).await?;
        let id = text(path, &made["run"]["info"]["run_id"])?;
        let end_time = end_ms(run);
        let batch = json!({
            "run_id": id,
            "params": params(&results.experiment, run),
            "metrics": metrics(run, end_time),
        });
        self.post("runs/log-batch", &batch).await?;
        let ended = json!({"run_id": id, "status": status(run), "end_time": end_time});
        self.post("runs/update", &ended).await?;
        Ok(())
    }

    async fn post(&self, path: &'static str, body: &Value) -> Result<Value, ExportError> {
        let (status, answer) = self.call(Method::POST, path, "", Some(body)).await?;
        self.check(path, status, answer)
    }

    /// The status and the body of a response.
    async fn call(
        &self,
        method: Method,
        path: &'static str,
        query: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), ExportError> {
        let failed = |reason: String| ExportError {
            path,
            reason: self.secrets.redact(&reason).into_owned(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api/2.0/mlflow/{path}{query}", self.url))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = request
            .body(body)
            .map_err(|error| failed(error.to_string()))?;
        let response = exchange(&HttpClient::shared(), request).await;
        let response = response.map_err(|error| failed(error.to_string()))?;
        Ok((response.status(), response.into_body()))
    }

    /// The body of a successful response.
    fn check(
        &self,
        path: &'static str,
        status: StatusCode,
        body: Bytes,
    ) -> Result<Value, ExportError> {
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let message = answer["message"].as_str().unwrap_or_default();
        let message = self.secrets.redact(message);
        Err(ExportError {
            path,
            reason: match message.is_empty() {
                true => format!("status {status}"),
                false => format!("status {status}: {}", printable(&excerpt(&message))),
            },
        })
    }
}

fn text(path: &'static str, value: &Value) -> Result<String, ExportError> {
    let text = value.as_str().ok_or_else(|| ExportError {
        path,
        reason: "the response is not MLflow's".to_owned(),
    });
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_address_is_a_usage_error_without_its_password() {
        for url in [
            "ftp://h",
            "h:5000",
            "http://h?a=b",
            "http://me:hunter2-long@h",
        ] {
            let mlflow = Mlflow {
                url: Some(url.to_owned()),
                experiment: "e".to_owned(),
            };
            let error = mlflow.server().unwrap_err().to_string();
            assert!(error.starts_with("--mlflow"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
