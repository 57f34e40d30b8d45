//! Builds an experiment from options. All errors are reported before anything is sent.

mod experiment;
mod load;
mod target;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use llm_bench::summary::{GoodputTier, Objectives};
use llm_bench::{
    Access, Backend, Dataset, DatasetConfig, Experiment, Load, LoadSpec, MetricsSource, Prefix,
    ReplayLoad, RunLimits, RunSettings, RunSpec, Task, Tokenizer, TokenizerLookup, Trace,
    TrafficScenario, Workload,
};
use serde_json::{Map, Value};

use self::experiment::experiment;
use self::load::{batch_sizes, loads, rate};
use self::target::{against, key, targets, trust, weighted};
use crate::bench::args::{Api, Bench, Load as LoadArgs, Prompts};
use crate::bench::option_values::{self, BackendName, Rate, SearchKind};
use crate::bench::permissions::Permissions;
use crate::bench::{features, limits};
use crate::output::{Colour, note};

/// The parameters of a sweep.
pub(crate) struct Setup {
    pub(crate) experiment: Experiment,
    pub(crate) settings: RunSettings,
    pub(crate) points: Vec<Point>,
    pub(crate) search: Option<SearchKind>,
    workload: Workload,
    trace: Option<Trace>,
    load: LoadArgs,
}

/// A point: the parameters of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) scenario: TrafficScenario,
    pub(crate) load: LoadSpec,
    pub(crate) batch_size: u32,
}

impl Setup {
    /// # Errors
    /// If an option is invalid or requests something that is not permitted; nothing was sent then.
    pub(crate) async fn new(args: Bench, allowed: &Permissions) -> Result<Self> {
        limits::check(&args)?;
        // The options of a worker come from the leader's plan.
        features::check(&args)?;
        let backend = Backend::from(args.api.api_backend);
        let task = Task::from(args.api.task);
        let model = args.api.api_model_name.clone().unwrap_or_default();
        let key = key(args.api.api_key.as_ref().map(|key| &key.0), backend);
        let mut targets = targets(&args.api, backend, key.as_ref(), allowed)?.into_iter();
        let models = weighted("--api-model-name", &model)?;
        let model = match &models[..] {
            [(only, _)] => only.clone(),
            _ => model,
        };
        let (target, weight) = targets.next().context("--api-base")?;
        let mut settings = RunSettings::new(target, &model);
        settings.weight = weight;
        settings.others = targets.collect();
        settings.against = against(&args.api, backend, key.as_ref(), allowed)?;
        settings.new_connections = args.measuring.new_connections;
        settings.timeout = args.measuring.timeout;
        settings.drain = args.measuring.drain_timeout;
        settings.poll_interval = args.measuring.poll_interval;
        settings.cold_after = args.measuring.cold_after;
        settings.threads = args.measuring.num_workers.filter(|threads| *threads > 0);
        let sources = args.measuring.server_metrics.iter();
        settings.metrics = sources
            .map(|url| MetricsSource::new(url))
            .collect::<Result<_, _>>()?;
        settings.tls = trust(&args.api)?;
        settings.rate_limit_retries = args.load.rate_limit_retries;
        settings.stop_on_saturation = args.load.stop_on_saturation;
        settings.price_per_million = args.load.price;
        settings.warmup_cooldown = (
            args.measuring.warmup_ratio.unwrap_or(0.0),
            args.measuring.cooldown_ratio.unwrap_or(0.0),
        );
        let mut workload = Workload::new(task, backend, &model)?.with_seed(args.prompts.seed);
        if let Some(path) = &args.prompts.model_tokenizer
            && let Some(tokenizer) = tokenizer(path, &allowed.access).await?
        {
            settings.tokenizer = Some(tokenizer.clone());
            workload = workload.with_tokenizer(tokenizer);
        }
        workload = workload
            .with_streaming(!args.api.no_stream)
            .with_text_api(args.api.endpoint_type)?;
        if models.len() > 1 {
            workload = workload.with_models(models)?;
        }
        workload = workload.with_additional_params(additional_params(&args.api));
        let dataset = dataset(&args.prompts, &allowed.access).await?;
        let dataset_path = dataset.as_ref().map(|dataset| dataset.path.clone());
        let mut scenarios = scenarios(&args.prompts, task)?;
        if args.load.trace.is_some() {
            // A trace has its own lengths.
            scenarios.truncate(1);
        }
        if let Some(dataset) = dataset {
            workload = workload.with_dataset(dataset);
        }
        workload = match (args.prompts.prefix_len, args.prompts.prefix_ratio) {
            (Some(length), _) => workload.with_prefix(Prefix::Length(length)),
            (None, Some(ratio)) => workload.with_prefix(Prefix::Ratio(ratio)),
            (None, None) => workload,
        };
        let trace = args.load.trace.as_deref();
        let trace = trace.map(|path| Trace::read(path, &allowed.access));
        let trace = trace.transpose()?;
        Objectives::parse(&args.load.goodput).context("--goodput")?;
        for tier in &args.load.goodput_tier {
            GoodputTier::parse(tier).context("--goodput-tier")?;
        }

        let batch_sizes = batch_sizes(&args.load, task);
        let loads = loads(&args.load, task)?;
        let mut points = Vec::new();
        for scenario in &scenarios {
            for batch_size in &batch_sizes {
                for load in &loads {
                    let point = Point {
                        scenario: *scenario,
                        load: *load,
                        batch_size: *batch_size,
                    };
                    points.extend((0..args.load.repeat).map(|_| point));
                }
            }
        }
        let experiment = experiment(
            &args,
            &settings,
            task,
            scenarios,
            dataset_path,
            key.as_ref(),
        );
        let mut setup = Self {
            experiment,
            settings,
            points,
            search: args.load.find_max_load,
            workload,
            trace,
            load: args.load,
        };
        setup.settings.ramp_up = setup.load.ramp_up.unwrap_or_default();
        if let Some(trace) = &setup.trace {
            setup.experiment.scenarios = vec![trace.scenario().to_owned()];
            setup.experiment.trace_models = trace.models().to_vec();
        }
        setup.experiment.batch_sizes = batch_sizes;
        setup.experiment.loads = setup.planned_loads()?;
        Ok(setup)
    }

    /// The run of a point, or of the trace.
    pub(crate) fn spec(&self, number: u32, point: &Point) -> Result<RunSpec> {
        let limits = self.limits(point);
        if let Some(trace) = &self.trace {
            let load = match (self.load.num_concurrency.is_empty(), point.load) {
                (false, LoadSpec::Concurrency(slots)) => ReplayLoad::Concurrency(slots),
                _ => ReplayLoad::Recorded {
                    max_concurrency: self.load.max_concurrency,
                },
            };
            return Ok(self
                .workload
                .replay(trace, self.load.trace_speed, load, limits)?);
        }
        let run =
            self.workload
                .run(number, point.scenario, point.load, point.batch_size, limits)?;
        Ok(run)
    }

    /// The settings of a point: a spawn rate makes a ramp that depends on the concurrency.
    pub(crate) fn settings(&self, point: &Point) -> RunSettings {
        let mut settings = self.settings.clone();
        if let (Some(rate), LoadSpec::Concurrency(slots)) = (self.load.spawn_rate, point.load) {
            let ramp = f64::from(slots) / rate.max(0.001);
            settings.ramp_up = Duration::try_from_secs_f64(ramp).unwrap_or_default();
        }
        settings
    }

    /// A load of the search.
    pub(crate) fn search_load(&self, kind: SearchKind, load: f64) -> Result<LoadSpec> {
        Ok(match kind {
            SearchKind::Concurrency => LoadSpec::Concurrency(load as u32),
            SearchKind::Rate => rate(
                &self.load,
                Rate {
                    from: load,
                    to: load,
                },
            )?,
        })
    }

    /// Whether a run in which nothing can succeed does not end the sweep.
    pub(crate) fn keeps_going(&self) -> bool {
        self.load.keep_going
    }

    pub(crate) fn search_limit(&self) -> (f64, f64) {
        (self.load.search_limit, self.load.attainment)
    }

    fn limits(&self, point: &Point) -> RunLimits {
        let in_flight = match point.load {
            LoadSpec::Concurrency(slots) => u64::from(slots),
            _ => 0,
        };
        let requests = self.load.max_requests_per_run;
        let mut limits = RunLimits::default();
        limits.max_requests = match (&self.trace, requests) {
            // A search that has fewer requests than slots would not reach its load.
            (None, Some(requests)) if self.search.is_some() => requests.max(in_flight),
            (_, Some(requests)) => requests,
            (Some(trace), None) => trace.len() as u64,
            (None, None) => DEFAULT_REQUESTS.max(10 * in_flight),
        };
        let time = self.load.max_time_per_run.unwrap_or(DEFAULT_TIME);
        limits.max_seconds = time.as_secs_f64();
        limits.max_cost = self.load.max_cost;
        limits.max_errors = self.load.max_errors;
        limits
    }

    fn planned_loads(&self) -> Result<Vec<Load>> {
        let mut loads: Vec<Load> = Vec::new();
        for point in &self.points {
            let load = self.spec(0, point)?.load().clone();
            if !loads.contains(&load) {
                loads.push(load);
            }
        }
        Ok(loads)
    }
}

/// The tokenizer of a path or a model; a warning if it cannot be found.
async fn tokenizer(path: &Path, access: &Access) -> Result<Option<Tokenizer>> {
    match TokenizerLookup::of(path, access).await? {
        TokenizerLookup::Found(tokenizer) => Ok(Some(tokenizer)),
        TokenizerLookup::Missing(reason) => {
            let reason = features::tokenizer_hint().unwrap_or(reason);
            let text = format_args!(
                "--model-tokenizer {}: not found, so tokens are estimated where the server does \
                 not count them: {reason}",
                path.display()
            );
            note("warning", Colour::Yellow, text);
            Ok(None)
        }
        _ => Ok(None),
    }
}

async fn dataset(args: &Prompts, access: &Access) -> Result<Option<Dataset>> {
    let config = match (&args.dataset_config, &args.dataset_path) {
        (Some(file), _) => DatasetConfig::read(file, access)?,
        (None, Some(path)) => DatasetConfig::at(path, access)?,
        (None, None) => return Ok(None),
    };
    let mut config = config;
    config.prompt_column = args.dataset_prompt_column.clone().or(config.prompt_column);
    config.image_column = args.dataset_image_column.clone().or(config.image_column);
    Ok(Some(Dataset::load(&config, access).await?))
}

/// The scenarios of the options, or the defaults.
pub(crate) fn scenarios(args: &Prompts, task: Task) -> Result<Vec<TrafficScenario>> {
    let dataset = args.dataset_config.is_some() || args.dataset_path.is_some();
    let mut given = Vec::new();
    for text in &args.traffic_scenario {
        given.extend(option_values::scenarios(text)?);
    }
    Ok(match (given.is_empty(), dataset) {
        (false, _) => given,
        (true, true) => vec![TrafficScenario::Dataset],
        (true, false) => TrafficScenario::defaults(task),
    })
}

const DEFAULT_REQUESTS: u64 = 100;

const DEFAULT_TIME: Duration = Duration::from_secs(600);

/// The parameters of every request. OpenAI rejects `ignore_eos`, which keeps the lengths of outputs exact at
/// other servers; as in genai-bench, the backend `openai` does not send it.
fn additional_params(api: &Api) -> Map<String, Value> {
    let mut params = api.additional_request_params.clone().unwrap_or_default();
    if api.api_backend == BackendName::Openai {
        params.entry("ignore_eos").or_insert(Value::Null);
    }
    params
}
