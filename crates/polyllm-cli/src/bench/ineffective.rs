//! Options that have no effect together with others. Each has a note.

use llm_bench::ArrivalProcess;

use crate::bench::args::Bench;
use crate::bench::option_values::{BackendName, SearchKind};
use crate::output::{Colour, note};

/// Prints a note for each option without effect.
pub(crate) fn note_all(args: &Bench) {
    for (option, reason) in reasons(args) {
        let text = format_args!("{option} has no effect: {reason}");
        note("note", Colour::Yellow, text);
    }
}

fn reasons(args: &Bench) -> Vec<(&'static str, &'static str)> {
    let (load, prompts) = (&args.load, &args.prompts);
    let traced = load.trace.is_some();
    let trace = "a trace has its own prompts and lengths";
    let is_open = match load.find_max_load {
        Some(kind) => kind == SearchKind::Rate,
        None => !load.request_rate.is_empty(),
    };
    // A trace without a concurrency starts its requests at their times.
    let is_recorded = traced && load.num_concurrency.is_empty();
    let rate = "it needs --request-rate";
    let arrives = load.arrivals != ArrivalProcess::default();
    let open = "it needs --request-rate or a trace with its own times";
    let searched = load.find_max_load.is_some();
    let search = "--find-max-load chooses the load";
    let replicate = [Some(args.api.api_backend), args.api.against_backend];
    let polls = replicate.contains(&Some(BackendName::Replicate));
    let is_polled = args.measuring.poll_interval != DEFAULT_POLL_INTERVAL;
    let given = [
        (
            "--traffic-scenario",
            traced && !prompts.traffic_scenario.is_empty(),
            trace,
        ),
        (
            "--dataset-path",
            traced && prompts.dataset_path.is_some(),
            trace,
        ),
        (
            "--dataset-config",
            traced && prompts.dataset_config.is_some(),
            trace,
        ),
        (
            "--prefix-len",
            traced && prompts.prefix_len.is_some(),
            trace,
        ),
        (
            "--prefix-ratio",
            traced && prompts.prefix_ratio.is_some(),
            trace,
        ),
        (
            "--num-concurrency",
            searched && !load.num_concurrency.is_empty(),
            search,
        ),
        (
            "--request-rate",
            searched && !load.request_rate.is_empty(),
            search,
        ),
        ("--arrivals", arrives && !is_open, rate),
        (
            "--max-concurrency",
            load.max_concurrency.is_some() && !is_open && !is_recorded,
            open,
        ),
        (
            "--stop-on-saturation",
            load.stop_on_saturation && !is_open && !is_recorded,
            open,
        ),
        (
            "--poll-interval",
            is_polled && !polls,
            "it needs --api-backend replicate",
        ),
        (
            "--mlflow-experiment",
            args.output.mlflow.lacks_server(),
            "it needs --mlflow",
        ),
    ];
    let given = given.into_iter().filter(|(_, is_given, _)| *is_given);
    given.map(|(option, _, reason)| (option, reason)).collect()
}

/// The default of `--poll-interval`.
const DEFAULT_POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    #[test]
    fn options_without_effect_have_a_note() {
        for (options, expected) in [
            (
                "--num-concurrency 4 --traffic-scenario D(1,1) --prefix-len 1",
                "",
            ),
            (
                "--request-rate 5 --arrivals poisson --max-concurrency 4 --stop-on-saturation",
                "",
            ),
            (
                "--find-max-load rate --goodput ttft:1s --arrivals poisson",
                "",
            ),
            ("--trace t --max-concurrency 4 --stop-on-saturation", ""),
            ("--api-backend replicate --poll-interval 1s", ""),
            ("--mlflow http://m --mlflow-experiment e", ""),
            ("--trace t --traffic-scenario D(1,1)", "--traffic-scenario"),
            (
                "--trace t --dataset-path d --prefix-len 4",
                "--dataset-path --prefix-len",
            ),
            ("--trace t --arrivals poisson", "--arrivals"),
            (
                "--num-concurrency 4 --arrivals poisson --max-concurrency 2 --stop-on-saturation",
                "--arrivals --max-concurrency --stop-on-saturation",
            ),
            (
                "--trace t --num-concurrency 4 --max-concurrency 2",
                "--max-concurrency",
            ),
            (
                "--find-max-load rate --goodput ttft:1s --num-concurrency 4",
                "--num-concurrency",
            ),
            ("--mlflow-experiment e", "--mlflow-experiment"),
            ("--poll-interval 1s", "--poll-interval"),
        ] {
            let line = format!("polyllm bench --api-model-name m {options}");
            let args = Args::try_parse_from(line.split_whitespace()).unwrap();
            let Command::Bench(bench) = args.command else {
                panic!("{line}");
            };
            let found: Vec<_> = reasons(&bench).into_iter().map(|(name, _)| name).collect();
            assert_eq!(found.join(" "), expected, "{options}");
        }
    }
}
