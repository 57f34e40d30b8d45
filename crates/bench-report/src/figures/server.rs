//! Charts of what servers reported during a run, on the time axis of its requests.

use llm_bench::summary::RunSummary;
use llm_bench::{MetricKind, ServerSeries};

use super::Figure;
use super::run::{axis, figure};
use crate::chart::{Chart, Colour, Mark, NumberFormat, Point, Series};

/// A chart per metric; the series of GPUs and of several servers share one.
pub(super) fn of_run(run: &RunSummary) -> Vec<Figure> {
    let mut groups: Vec<(&str, Vec<&ServerSeries>)> = Vec::new();
    for series in &run.run.server {
        let name = metric_name(series);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => all.push(series),
            None => groups.push((name, vec![series])),
        }
    }
    // Known metrics first, in the order of the list.
    let place = |name: &str| KNOWN.iter().position(|known| name.contains(known));
    groups.sort_by_key(|(name, _)| place(name).unwrap_or(KNOWN.len()));
    groups.truncate(MAX_CHARTS);
    let charts = groups
        .into_iter()
        .filter_map(|(name, all)| chart(run, name, &all));
    charts.collect()
}

fn metric_name(series: &ServerSeries) -> &str {
    let name = series.name.split(' ').next();
    name.unwrap_or_default()
}

fn chart(run: &RunSummary, name: &str, all: &[&ServerSeries]) -> Option<Figure> {
    let ends = run.rows.iter().filter_map(|row| row.ended);
    let end = ends.fold(0.0, f64::max);
    let is_rate = all.iter().any(|series| series.kind == MetricKind::Counter);
    let series = all.iter().enumerate().map(|(at, series)| {
        let gpu = series.name.split_once(' ').map(|(_, gpu)| gpu);
        let label = match (all.len(), gpu) {
            (1, _) => String::new(),
            (_, Some(gpu)) => gpu.replace('"', ""),
            (_, None) => series.source.clone(),
        };
        let values: Vec<(f64, f64)> = match series.kind {
            MetricKind::Counter => rates(&series.points),
            _ => series.points.clone(),
        };
        // Points after the last request would stretch the axis.
        let values = values.into_iter().filter(|(at, _)| *at <= end);
        Series {
            name: label,
            mark: Mark::Plain,
            colour: Colour::Number(at),
            points: values
                .map(|(at, value)| Point::new(at, value, ""))
                .collect(),
        }
    });
    let chart = Chart {
        title: name.to_owned(),
        x: axis("Time in the run", NumberFormat::Seconds),
        y: axis(
            if is_rate { "Per second" } else { "Value" },
            NumberFormat::Number,
        ),
        series: series.filter(|series| series.points.len() > 1).collect(),
        stacked: false,
    };
    let about = match is_rate {
        true => "Reported by the server: the rise per second.",
        false => "Reported by the server.",
    };
    (!chart.is_empty()).then(|| figure("server", about, chart))
}

/// The rise per second between two readings; a restart of the server is a gap.
fn rates(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let pairs = points.windows(2).filter_map(|pair| {
        let [(from, before), (to, after)] = pair else {
            return None;
        };
        let rate = (after - before) / (to - from);
        (rate.is_finite() && rate >= 0.0).then_some(((from + to) / 2.0, rate))
    });
    pairs.collect()
}

/// Parts of the names of what is of most interest.
const KNOWN: [&str; 12] = [
    "requests_running",
    "running_reqs",
    "in_flight",
    "requests_waiting",
    "queue",
    "cache_usage",
    "token_usage",
    "generation_tokens",
    "gen_throughput",
    "prompt_tokens",
    "GPU_UTIL",
    "utilization_gpu",
];

const MAX_CHARTS: usize = 24;

#[cfg(test)]
mod tests {
    use llm_bench::Load;
    use llm_bench::test_util;

    use super::*;

    #[test]
    fn counters_are_drawn_as_rates_and_gpus_together() {
        let mut run = test_util::run(Load::Concurrency { concurrency: 1 }, 40);
        let series = |name: &str, kind, points: &[(f64, f64)]| {
            let mut series = ServerSeries::default();
            series.source = "http://h/metrics".to_owned();
            series.name = name.to_owned();
            series.kind = kind;
            series.points = points.to_vec();
            series
        };
        run.server = vec![
            series(
                "x_total",
                MetricKind::Counter,
                &[(0.0, 5.0), (1.0, 15.0), (2.0, 3.0), (3.0, 4.0), (3.5, 5.0)],
            ),
            series(
                "DCGM_FI_DEV_GPU_UTIL gpu=\"0\"",
                MetricKind::Gauge,
                &[(0.0, 1.0), (1.0, 2.0)],
            ),
            series(
                "DCGM_FI_DEV_GPU_UTIL gpu=\"1\"",
                MetricKind::Gauge,
                &[(0.0, 1.0), (1.0, 2.0)],
            ),
            series("late", MetricKind::Gauge, &[(900.0, 1.0), (901.0, 2.0)]),
        ];
        let results = llm_bench::Results::new(llm_bench::Experiment::default(), &[run]);
        let figures = of_run(&results.runs[0]);
        let titles: Vec<_> = figures.iter().map(|figure| figure.title.as_str()).collect();
        assert_eq!(titles, ["DCGM_FI_DEV_GPU_UTIL", "x_total"]);
        let names = figures[0].charts[0].1.series.iter();
        let names: Vec<&str> = names.map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["gpu=0", "gpu=1"]);
        assert_eq!(
            rates(&[(0.0, 5.0), (1.0, 15.0), (2.0, 3.0)]),
            [(0.5, 10.0)],
            "a restart is a gap"
        );
    }
}
