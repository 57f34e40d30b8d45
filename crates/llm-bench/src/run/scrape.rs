//! Reads the metrics of servers during a run: vLLM's, SGLang's, the gateway's, a GPU exporter's, or any
//! others in the text format of Prometheus.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;
use llm_provider::text::excerpt;

use crate::client::{Connection, Connector, TlsTrust};
use crate::clock::Clock;
use crate::command_line::without_query;
use crate::error::Error;
use crate::experiment::{MetricKind, ServerSeries};
use crate::folder::{MAX_READINGS, MAX_VALUE};
use crate::response::JsonResponse;
use crate::target::Origin;

/// The address of a server's metrics, such as `http://127.0.0.1:8000/metrics`.
#[derive(Clone, Debug)]
pub struct MetricsSource {
    origin: Origin,
    path: String,
}

impl MetricsSource {
    /// Parses an address; without a path, it is `/metrics`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if it is not an `http://` or `https://` address.
    pub fn new(url: &str) -> Result<Self, Error> {
        let uri: Option<Uri> = url.parse().ok();
        let origin = uri.as_ref().and_then(Origin::of);
        let (Some(uri), Some(origin)) = (uri, origin) else {
            let reason = "expected an address such as http://127.0.0.1:8000/metrics";
            return Err(Error::usage("--server-metrics", url, reason));
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            origin,
            path: match path {
                "/" => "/metrics".to_owned(),
                path => path.to_owned(),
            },
        })
    }

    /// The address for reports; its query may hold a key.
    fn name(&self) -> String {
        without_query(&format!("{}{}", self.origin, self.path))
    }
}

/// What was read, and the sources that were never read, with their errors.
type Readings = (Vec<ServerSeries>, Vec<String>);

/// A thread that reads metrics until it is stopped.
#[derive(Debug)]
pub(super) struct Scraper {
    stop: Sender<()>,
    thread: JoinHandle<Readings>,
}

impl Scraper {
    /// Starts to read each source once per `interval`; `None` without sources.
    pub(super) fn start(
        sources: &[MetricsSource],
        tls: &TlsTrust,
        interval: Duration,
        clock: Clock,
    ) -> Result<Option<Self>, Error> {
        if sources.is_empty() {
            return Ok(None);
        }
        let needs_tls = sources.iter().any(|source| source.origin.tls);
        let connector = Connector::new(clock, needs_tls.then_some(tls))?;
        let sources = sources.to_vec();
        let (stop, stopped) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Start)?;
        let thread = thread::Builder::new()
            .name("bench-scrape".to_owned())
            .spawn(move || scrape(&runtime, &connector, &sources, interval, &stopped, clock))
            .map_err(Error::Start)?;
        Ok(Some(Self { stop, thread }))
    }

    /// Stops the thread and returns what it read.
    pub(super) fn stop(self) -> Readings {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

fn scrape(
    runtime: &tokio::runtime::Runtime,
    connector: &Connector,
    sources: &[MetricsSource],
    interval: Duration,
    stopped: &Receiver<()>,
    clock: Clock,
) -> Readings {
    let mut series: BTreeMap<(usize, String), ServerSeries> = BTreeMap::new();
    let mut connections: Vec<Option<Connection>> = sources.iter().map(|_| None).collect();
    // The last error of each source, and nothing once it was read.
    let mut errors: Vec<Option<String>> =
        vec![Some("the run was too short".to_owned()); sources.len()];
    loop {
        for (number, source) in sources.iter().enumerate() {
            let reading = read(connector, source, &mut connections[number]);
            // A source that does not answer has a gap.
            let read = runtime.block_on(async { tokio::time::timeout(TIMEOUT, reading).await });
            let read = read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let found = read.and_then(|text| match parse(&text) {
                found if found.is_empty() => Err(io::Error::other(
                    "no counters or gauges in the text format of Prometheus",
                )),
                found => Ok(found),
            });
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    connections[number] = None;
                    if let Some(last) = &mut errors[number] {
                        *last = error.to_string();
                    }
                    continue;
                }
            };
            errors[number] = None;
            let at = clock.now() as f64 / 1e9;
            for (name, (kind, value)) in found {
                let is_full = series.len() >= MAX_SERIES;
                let key = (number, name);
                if is_full && !series.contains_key(&key) {
                    continue;
                }
                let name = key.1.clone();
                let known = series.entry(key).or_insert_with(|| ServerSeries {
                    source: source.name(),
                    name,
                    kind,
                    points: Vec::new(),
                });
                if known.points.len() < MAX_READINGS {
                    known.points.push((at, value));
                }
            }
        }
        if let Ok(()) | Err(RecvTimeoutError::Disconnected) = stopped.recv_timeout(interval) {
            break;
        }
    }
    let changed = |series: &ServerSeries| {
        let first = series.points.first().map(|(_, value)| *value);
        series.points.iter().any(|(_, value)| Some(*value) != first)
    };
    let errors = sources.iter().zip(errors).filter_map(|(source, error)| {
        let text = format!("{}: {}", source.name(), error?);
        Some(excerpt(&text).into_owned())
    });
    (
        series.into_values().filter(changed).collect(),
        errors.collect(),
    )
}

async fn read(
    connector: &Connector,
    source: &MetricsSource,
    kept: &mut Option<Connection>,
) -> io::Result<String> {
    let other = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let mut idle = kept.take();
    if let Some(connection) = &mut idle
        && !connection.is_ready().await
    {
        idle = None;
    }
    let mut connection = match idle {
        Some(connection) => connection,
        None => {
            let connected = connector.connect(&source.origin).await;
            connected.map_err(|error| other(&error.message))?.0
        }
    };
    let mut request = Request::new(Full::<Bytes>::default());
    *request.uri_mut() = source.path.parse().map_err(|error| other(&error))?;
    let host = HeaderValue::from_str(&source.origin.authority()).map_err(|error| other(&error))?;
    request.headers_mut().insert(header::HOST, host);
    let mut answer = JsonResponse::default();
    let done = connection.exchange(request, &mut answer).await;
    done.map_err(|error| other(&error.source))?;
    if let Some(failure) = answer.head.failure() {
        return Err(other(&failure.message));
    }
    *kept = Some(connection);
    String::from_utf8(answer.body).map_err(|error| other(&error))
}

/// The counters and gauges of a page, by name. The values of a name are added, or averaged if they are
/// shares or temperatures; those of GPUs are kept apart.
fn parse(text: &str) -> BTreeMap<String, (MetricKind, f64)> {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut sums: BTreeMap<String, (MetricKind, f64, u32)> = BTreeMap::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            if let Some((name, kind)) = declared.trim().split_once(' ') {
                kinds.insert(name, kind.trim());
            }
            continue;
        }
        let Some((name, labels, value)) = sample(line) else {
            continue;
        };
        // In OpenMetrics, the type of a counter is declared without its suffix.
        let declared = kinds
            .get(name)
            .or_else(|| kinds.get(name.strip_suffix("_total")?));
        let kind = match declared.copied() {
            Some("counter") => MetricKind::Counter,
            Some("gauge") => MetricKind::Gauge,
            Some("untyped" | "unknown") | None if is_gpu(name) => MetricKind::Gauge,
            _ => continue,
        };
        if OWN.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let mut key = name.to_owned();
        if let Some(gpu) = is_gpu(name).then(|| gpu(labels)).flatten() {
            key.push_str(&format!(" {gpu}"));
        }
        let sum = sums.entry(key).or_insert((kind, 0.0, 0));
        sum.1 += value;
        sum.2 += 1;
    }
    let values = sums.into_iter().map(|(name, (kind, sum, count))| {
        let is_mean = kind == MetricKind::Gauge && MEANS.iter().any(|part| name.contains(part));
        let value = if is_mean { sum / f64::from(count) } else { sum };
        (name, (kind, value))
    });
    values.collect()
}

/// The name, the labels and the value of a line.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (name, labels, rest) = match line.split_once('{') {
        // The text of a label may contain a brace.
        Some((name, rest)) => {
            let (labels, rest) = rest.rsplit_once('}')?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, "", rest)
        }
    };
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    (value.abs() <= MAX_VALUE).then_some((name.trim(), labels, value))
}

fn is_gpu(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["dcgm_", "nvidia_", "amd_", "gpu_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The label that names a GPU, as `gpu="0"`.
fn gpu(labels: &str) -> Option<&str> {
    let of = |key: &str| {
        let mut parts = labels.split(',').map(str::trim);
        parts.find(|part| part.split_once('=').is_some_and(|(name, _)| name == key))
    };
    ["gpu", "gpu_id", "index", "minor_number", "uuid"]
        .into_iter()
        .find_map(of)
}

/// Metrics of the process that exports them.
const OWN: [&str; 5] = ["go_", "process_", "promhttp_", "python_", "scrape_"];

/// Parts of the names of shares and temperatures.
const MEANS: [&str; 8] = [
    "perc", "ratio", "rate", "usage", "util", "temp", "clock", "UTIL",
];

const TIMEOUT: Duration = Duration::from_secs(2);

/// The most series of a run.
const MAX_SERIES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_gauges_are_read() {
        let found = parse(
            "# HELP vllm:num_requests_running running\n\
             # TYPE vllm:num_requests_running gauge\n\
             vllm:num_requests_running{engine=\"0\",model_name=\"a}b\"} 3.0\n\
             vllm:num_requests_running{engine=\"1\",model_name=\"a}b\"} 4.0\n\
             # TYPE vllm:kv_cache_usage_perc gauge\n\
             vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\n\
             vllm:kv_cache_usage_perc{engine=\"1\"} 0.75\n\
             # TYPE vllm:generation_tokens counter\n\
             vllm:generation_tokens_total 1200 1700000000000\n\
             # TYPE vllm:ttft histogram\n\
             vllm:ttft_bucket{le=\"0.1\"} 5\n\
             # TYPE process_cpu_seconds_total counter\n\
             process_cpu_seconds_total 7\n\
             # TYPE x gauge\n\
             x NaN\n\
             DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\"u\"} 90\n\
             DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",UUID=\"v\"} 80\n\
             nonsense\n",
        );
        let found: Vec<_> = found
            .iter()
            .map(|(name, (kind, value))| (name.as_str(), *kind, *value))
            .collect();
        use MetricKind::{Counter, Gauge};
        assert_eq!(
            found,
            [
                ("DCGM_FI_DEV_GPU_UTIL gpu=\"0\"", Gauge, 90.0),
                ("DCGM_FI_DEV_GPU_UTIL gpu=\"1\"", Gauge, 80.0),
                ("vllm:generation_tokens_total", Counter, 1200.0),
                ("vllm:kv_cache_usage_perc", Gauge, 0.5),
                ("vllm:num_requests_running", Gauge, 7.0),
            ]
        );
    }

    #[test]
    fn an_address_has_a_default_path() {
        let name = |url| MetricsSource::new(url).unwrap().name();
        assert_eq!(name("http://h:8000"), "http://h:8000/metrics");
        assert_eq!(name("https://u:p@h/x?key=1"), "https://h/x?***");
        for url in ["", "h:8000", "ftp://h"] {
            let error = MetricsSource::new(url).unwrap_err().to_string();
            assert!(error.starts_with("--server-metrics"), "{error}");
        }
    }
}
