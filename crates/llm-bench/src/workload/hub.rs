//! Datasets on Hugging Face's hub, read through its dataset viewer.
//!
//! The hub is contacted only if a config or a name refers to it. `HF_TOKEN` gives access to private
//! datasets.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use crate::client::Connector;
use crate::clock::Clock;
use crate::error::Error;
use crate::response::JsonResponse;
use crate::target::Origin;
use crate::workload::access::Access;
use crate::workload::dataset::{Columns, DatasetConfig, DatasetRow};

/// The first rows of a dataset, as many as the slice of its split says, at most [`MAX_ROWS`].
pub(super) async fn rows(config: &DatasetConfig) -> Result<Vec<DatasetRow>, Error> {
    let base = std::env::var("HF_DATASETS_SERVER").unwrap_or_else(|_| BASE.to_owned());
    let request = rows_from(&base, config);
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(rows) => rows,
        Err(_) => Err(invalid(config, format!("no response from {base}"))),
    }
}

async fn rows_from(base: &str, config: &DatasetConfig) -> Result<Vec<DatasetRow>, Error> {
    let uri: http::Uri = base
        .parse()
        .map_err(|_| invalid(config, format!("{base:?} is not a valid address")))?;
    let origin = Origin::of(&uri)
        .ok_or_else(|| invalid(config, format!("{base:?} is not a valid address")))?;
    let kwargs = &config.source.huggingface_kwargs;
    let text = |name: &str| kwargs.get(name).and_then(Value::as_str);
    let (split, max) = slice(text("split").unwrap_or("train"));
    let name = text("name").unwrap_or("default");
    // The hub must not refer to files of this machine.
    let no_files = Access::within::<&Path>([])?;
    let columns = Columns::of(config, &no_files);
    let clock = Clock::start();
    let connector = Connector::new(clock, origin.tls)?;
    let (mut connection, _) = connector
        .connect(&origin)
        .await
        .map_err(|error| invalid(config, error.message))?;
    let mut rows = Vec::new();
    while rows.len() < max {
        let (offset, length) = (rows.len(), PAGE.min(max - rows.len()));
        let path = format!(
            "{}/rows?dataset={}&config={}&split={}&offset={offset}&length={length}",
            uri.path().trim_end_matches('/'),
            encoded(&config.source.path),
            encoded(name),
            encoded(split),
        );
        let mut answer = JsonResponse::default();
        connection
            .exchange(request(&origin, &path), &mut answer)
            .await
            .map_err(|error| invalid(config, format!("{origin}: {}", error.source)))?;
        if let Some(failure) = answer.head.failure() {
            return Err(invalid(config, format!("{origin}: {}", failure.message)));
        }
        let page: Page = serde_json::from_slice(&answer.body)
            .map_err(|error| invalid(config, format!("invalid response from {origin}: {error}")))?;
        let last = page.rows.len() < length;
        for item in page.rows.into_iter().take(length) {
            let row = columns
                .row(&item.row)
                .map_err(|reason| invalid(config, format!("row {}: {reason}", rows.len())))?;
            rows.push(row);
        }
        if last {
            break;
        }
    }
    Ok(rows)
}

#[derive(Deserialize)]
struct Page {
    rows: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    row: Value,
}

fn request(origin: &Origin, path: &str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    if let Ok(host) = HeaderValue::from_str(&origin.authority()) {
        headers.insert(header::HOST, host);
    }
    let token = std::env::var("HF_TOKEN").unwrap_or_default();
    if !token.is_empty()
        && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}"))
    {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    request
}

/// Splits `train[:1000]` into the name and the number of rows.
fn slice(split: &str) -> (&str, usize) {
    let Some((name, rest)) = split.split_once('[') else {
        return (split, MAX_ROWS);
    };
    let count = rest.trim_end_matches(']').trim_start_matches(':').parse();
    (name, count.unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS))
}

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

fn invalid(config: &DatasetConfig, reason: String) -> Error {
    Error::dataset(&config.source.path, None, reason)
}

const BASE: &str = "https://datasets-server.huggingface.co";

/// The viewer's limit of rows per request.
const PAGE: usize = 100;

/// Enough to avoid early repetition, and loaded within seconds.
const MAX_ROWS: usize = 2000;

const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_parsed_and_names_encoded() {
        assert_eq!(slice("train"), ("train", MAX_ROWS));
        assert_eq!(slice("train[:1000]"), ("train", 1000));
        assert_eq!(slice("test[:10%]"), ("test", MAX_ROWS));
        let path = encoded("lmms-lab/llava bench").to_string();
        assert_eq!(path, "lmms%2Dlab%2Fllava%20bench");
    }
}
