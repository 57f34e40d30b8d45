//! Builds an experiment from options. All errors are reported before anything is sent.

use std::env;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use llm_bench::summary::Objectives;
use llm_bench::{
    Access, Backend, CommandLine, Dataset, DatasetConfig, Experiment, IterationType, Load,
    LoadSpec, Machine, Prefix, RateProfile, RunLimits, RunSettings, RunSpec, ServerLabels,
    ServerTarget, Task, Tokenizer, TokenizerLookup, Trace, TrafficScenario, Workload,
};
use polyllm::{ApiKey, openai, replicate, together};

use crate::bench::args::{
    self, Api, Bench, IterationName, Load as LoadArgs, Prompts, Rate, SearchKind,
};
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
        let mut target = target(backend, args.api.api_base.as_deref(), key.as_ref(), allowed)?;
        for header in &args.api.header {
            target = target.with_header(&header.name, &header.value)?;
        }
        let mut settings = RunSettings::new(target, &model);
        settings.against = against(&args.api, backend, key.as_ref(), allowed)?;
        settings.new_connections = args.measuring.new_connections;
        settings.timeout = args.measuring.timeout;
        settings.drain = args.measuring.drain_timeout;
        settings.poll_interval = args.measuring.poll_interval;
        settings.cold_after = args.measuring.cold_after;
        settings.threads = args.measuring.num_workers.filter(|threads| *threads > 0);
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
        workload = workload.with_streaming(!args.api.no_stream);
        workload = workload.with_additional_params(
            args.api
                .additional_request_params
                .clone()
                .unwrap_or_default(),
        );
        let dataset = dataset(&args.prompts, &allowed.access).await?;
        let dataset_path = dataset.as_ref().map(|dataset| dataset.path.clone());
        let scenarios = scenarios(&args.prompts, task)?;
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

        let batch_sizes = batch_sizes(&args.load, task);
        let loads = loads(&args.load, task)?;
        let mut points = Vec::new();
        for scenario in &scenarios {
            for batch_size in &batch_sizes {
                for load in &loads {
                    points.push(Point {
                        scenario: *scenario,
                        load: *load,
                        batch_size: *batch_size,
                    });
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
        setup.experiment.batch_sizes = batch_sizes;
        setup.experiment.loads = setup.planned_loads()?;
        Ok(setup)
    }

    /// The run of a point, or of the trace.
    pub(crate) fn spec(&self, number: u32, point: &Point) -> Result<RunSpec> {
        let limits = self.limits(point);
        if let Some(trace) = &self.trace {
            let max = self.load.max_concurrency;
            return Ok(self
                .workload
                .replay(trace, self.load.trace_speed, max, limits)?);
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
            (_, Some(requests)) => requests,
            (Some(trace), None) => trace.len() as u64,
            (None, None) => DEFAULT_REQUESTS.max(10 * in_flight),
        };
        let time = self.load.max_time_per_run.unwrap_or(DEFAULT_TIME);
        limits.max_seconds = time.as_secs_f64();
        limits.max_cost = self.load.max_cost;
        limits
    }

    fn planned_loads(&self) -> Result<Vec<Load>> {
        let first = &self.points[0];
        if self.trace.is_some() {
            return Ok(vec![self.spec(0, first)?.load().clone()]);
        }
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

fn key(given: Option<&ApiKey>, backend: Backend) -> Option<ApiKey> {
    let (variables, _) = declared_variables(backend);
    let given = given.filter(|key| !key.is_empty()).cloned();
    given.or_else(|| ApiKey::from_env(variables))
}

/// The environment variables of the key and of the address, as the provider declares them.
fn declared_variables(backend: Backend) -> (&'static [&'static str], &'static [&'static str]) {
    match backend {
        Backend::Together => (together::API_KEY_VARIABLES, together::API_BASE_VARIABLES),
        Backend::Replicate => (replicate::API_KEY_VARIABLES, replicate::API_BASE_VARIABLES),
        _ => (openai::API_KEY_VARIABLES, openai::API_BASE_VARIABLES),
    }
}

fn target(
    backend: Backend,
    base: Option<&str>,
    key: Option<&ApiKey>,
    allowed: &Permissions,
) -> Result<ServerTarget> {
    let (_, variables) = declared_variables(backend);
    let from_env = variables.iter().find_map(|name| env::var(name).ok());
    let base = base
        .map(str::to_owned)
        .or_else(|| from_env.filter(|base| !base.is_empty()));
    let base = base.or_else(|| backend.default_base().map(str::to_owned));
    let base = base.ok_or_else(|| llm_bench::Error::Usage {
        option: "--api-backend",
        value: backend.name().to_owned(),
        reason: "needs --api-base".to_owned(),
    })?;
    allowed.check(&ServerTarget::new(backend, &base, None)?)?;
    let authorization = key.map(ApiKey::bearer).transpose()?;
    Ok(ServerTarget::new(backend, &base, authorization)?)
}

fn against(
    api: &Api,
    backend: Backend,
    key_of_subject: Option<&ApiKey>,
    allowed: &Permissions,
) -> Result<Option<ServerTarget>> {
    let Some(base) = &api.against else {
        return Ok(None);
    };
    let other = api.against_backend.map_or(backend, Backend::from);
    if (other == Backend::Replicate) != (backend == Backend::Replicate) {
        return Err(llm_bench::Error::Usage {
            option: "--against-backend",
            value: other.name().to_owned(),
            reason: "Replicate can only be compared with Replicate".to_owned(),
        }
        .into());
    }
    let key = match &api.against_api_key {
        Some(key) => Some(key.0.clone()),
        None if other == backend => key_of_subject.cloned(),
        None => key(None, other),
    };
    target(other, Some(base), key.as_ref(), allowed)
        .context("--against")
        .map(Some)
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
        given.extend(args::scenarios(text)?);
    }
    Ok(match (given.is_empty(), dataset) {
        (false, _) => given,
        (true, true) => vec![TrafficScenario::Dataset],
        (true, false) => TrafficScenario::defaults(task),
    })
}

fn batch_sizes(args: &LoadArgs, task: Task) -> Vec<u32> {
    if !task.has_batches() {
        if !args.batch_size.is_empty() {
            let text = format!("--batch-size has no effect on {task}");
            note("note", Colour::Yellow, text);
        }
        return vec![1];
    }
    if args.batch_size.is_empty() {
        vec![1, 2, 4, 8, 24, 48, 96]
    } else {
        args.batch_size.clone()
    }
}

fn loads(args: &LoadArgs, task: Task) -> Result<Vec<LoadSpec>> {
    if let Some(kind) = args.find_max_load {
        // The search starts here and chooses the others.
        let first = match kind {
            SearchKind::Concurrency => LoadSpec::Concurrency(1),
            SearchKind::Rate => rate(args, Rate { from: 1.0, to: 1.0 })?,
        };
        return Ok(vec![first]);
    }
    if args.trace.is_some() {
        return Ok(vec![LoadSpec::Concurrency(1)]);
    }
    if !args.request_rate.is_empty() {
        return args
            .request_rate
            .iter()
            .map(|given| rate(args, *given))
            .collect();
    }
    let slots = match (args.num_concurrency.as_slice(), task.has_batches()) {
        ([], true) => &[1][..],
        ([], false) => &[1, 2, 4, 8, 16, 32, 64, 128, 256],
        (given, _) => given,
    };
    Ok(slots.iter().copied().map(LoadSpec::Concurrency).collect())
}

/// A rising rate rises over the ramp, else over the whole run. A constant rate rises from zero over
/// the ramp.
fn rate(args: &LoadArgs, Rate { from, to }: Rate) -> Result<LoadSpec> {
    let whole = args.max_time_per_run.unwrap_or(DEFAULT_TIME);
    let profile = match args.ramp_up {
        Some(ramp) if from == to => RateProfile::ramp(0.0, to, ramp.as_secs_f64())?,
        ramp => RateProfile::ramp(from, to, ramp.unwrap_or(whole).as_secs_f64())?,
    };
    Ok(LoadSpec::Rate {
        per_second: to,
        profile,
        arrivals: args.arrivals,
        max_concurrency: args.max_concurrency,
    })
}

fn experiment(
    args: &Bench,
    settings: &RunSettings,
    task: Task,
    scenarios: Vec<TrafficScenario>,
    dataset: Option<String>,
    key: Option<&ApiKey>,
) -> Experiment {
    let now = SystemTime::now();
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let api = &args.api;
    let mut labels = ServerLabels::default();
    labels.engine.clone_from(&api.server_engine);
    labels.version.clone_from(&api.server_version);
    labels.gpu_type.clone_from(&api.server_gpu_type);
    labels.gpu_count = api.server_gpu_count;
    let backend = api.api_backend.name();
    let model = api.api_model_name.clone().unwrap_or_default();
    let mut machine = Machine::default();
    env::consts::OS.clone_into(&mut machine.os);
    env::consts::ARCH.clone_into(&mut machine.arch);
    machine.cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    let words: Vec<String> = env::args().collect();
    let secrets = [key, api.against_api_key.as_ref().map(|key| &key.0)];
    let secrets = secrets.into_iter().flatten().map(ApiKey::expose);
    let headers = api.header.iter().map(|header| header.value.as_str());
    let secrets: Vec<&str> = secrets.chain(headers).collect();

    let mut experiment = Experiment::default();
    experiment.name = args
        .output
        .experiment_folder_name
        .clone()
        .unwrap_or_else(|| {
            let engine = labels.engine.as_deref();
            let parts = [
                Some(backend),
                engine,
                labels.version.as_deref(),
                Some(task.name()),
                Some(&model),
            ];
            let mut parts: Vec<_> = parts.into_iter().flatten().map(file_name).collect();
            parts.push(timestamp(now));
            parts.join("_")
        });
    experiment.command = CommandLine::redacted(words.iter().map(String::as_str), secrets);
    experiment.version = env!("CARGO_PKG_VERSION").to_owned();
    experiment.started_at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    experiment.backend = backend.to_owned();
    experiment.api_base = settings.target.to_string();
    experiment.against = settings.against.as_ref().map(ToString::to_string);
    experiment.model_label = api.model_label.clone().unwrap_or_else(|| {
        let last = model.rsplit('/').next();
        last.unwrap_or_default().to_owned()
    });
    experiment.model = model;
    let tokenizer = args.prompts.model_tokenizer.as_ref();
    experiment.tokenizer = tokenizer.map(|path| path.display().to_string());
    experiment.task = task;
    experiment.scenarios = scenarios.iter().map(ToString::to_string).collect();
    experiment.iteration_type = match args.load.iteration_type {
        Some(IterationName::BatchSize) => IterationType::BatchSize,
        Some(IterationName::NumConcurrency) => IterationType::NumConcurrency,
        None if task.has_batches() => IterationType::BatchSize,
        None => IterationType::NumConcurrency,
    };
    experiment.additional_request_params =
        api.additional_request_params.clone().unwrap_or_default();
    experiment.server = labels;
    experiment.limits = RunLimits::default();
    let time = args.load.max_time_per_run.unwrap_or(DEFAULT_TIME);
    experiment.limits.max_seconds = time.as_secs_f64();
    experiment.limits.max_requests = args.load.max_requests_per_run.unwrap_or(DEFAULT_REQUESTS);
    experiment.limits.max_cost = args.load.max_cost;
    experiment.dataset = dataset;
    (experiment.warmup_ratio, experiment.cooldown_ratio) = settings.warmup_cooldown;
    experiment.seed = args.prompts.seed;
    experiment.goodput.clone_from(&args.load.goodput);
    experiment.price_per_million = args.load.price;
    experiment.new_connections = settings.new_connections;
    experiment.machine = machine;
    experiment
}

/// A text as part of a folder's name.
fn file_name(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    text.chars()
        .map(|c| if keep(c) { c } else { '-' })
        .collect()
}

/// `20261121_094500`, in UTC.
fn timestamp(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    format!("{}_{}", &digits[..8], &digits[8..])
}

const DEFAULT_REQUESTS: u64 = 100;

const DEFAULT_TIME: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_portable() {
        assert_eq!(file_name("meta-llama/Llama-2:v1"), "meta-llama-Llama-2-v1");
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH), "19700101_000000");
    }
}
