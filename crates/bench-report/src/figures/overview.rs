//! Charts over the runs of one or several experiments: a line per scenario, a point per run.

use llm_bench::Results;
use llm_bench::stats::{Interval, Statistic};
use llm_bench::summary::{Aggregated, Metric, RowOutcome, RunSummary, Unit};
use llm_bench::{IterationType, Load};

use super::{Figure, STATISTICS};
use crate::chart::{Axis, AxisKind, Chart, Colour, Mark, NumberFormat, Point, Series};
use crate::number::{count, number};

/// The figures that are not empty.
pub(crate) fn overview(all: &[Results]) -> Vec<Figure> {
    let lines = lines(all);
    let by = LoadAxis::new(&lines);
    let statistics = |name, about, metric, x: XValue| {
        let charts = STATISTICS.into_iter().map(|statistic| {
            let y = YValue::of(metric, statistic);
            (Some(statistic), chart(&lines, &by, &x, &y))
        });
        figure(name, about, charts.collect())
    };
    let single = |name, about, y: YValue| {
        figure(
            name,
            about,
            vec![(None, chart(&lines, &by, &XValue::Load, &y))],
        )
    };
    let has_batches = all.iter().any(|one| one.experiment.task.has_batches());
    let batches = |figure: Option<Figure>| figure.filter(|_| has_batches);
    let figures = [
        single(
            "throughput",
            "Output tokens per second of the run.",
            YValue::whole("Output throughput, tok/s", NumberFormat::Number, |n| {
                Some(n.mean_output_throughput_tokens_per_s)
            }),
        ),
        single(
            "total_throughput",
            "Input and output tokens per second of the run.",
            YValue::whole("Total throughput, tok/s", NumberFormat::Number, |n| {
                Some(n.mean_total_tokens_throughput_tokens_per_s)
            }),
        ),
        batches(single(
            "input_throughput",
            "Input tokens per second of the run.",
            YValue::whole("Input throughput, tok/s", NumberFormat::Number, |n| {
                Some(n.mean_input_throughput_tokens_per_s)
            }),
        )),
        batches(single(
            "documents",
            "Documents of completed requests per second.",
            YValue::whole("Documents/s", NumberFormat::Number, |n| {
                Some(n.requests_per_second * f64::from(n.batch_size))
            }),
        )),
        single(
            "requests",
            "Completed requests per second of the run.",
            YValue::whole("Requests/s", NumberFormat::Number, |n| {
                Some(n.requests_per_second)
            }),
        ),
        statistics(
            "ttft",
            "From dispatch to the first token of any channel.",
            Metric::Ttft,
            XValue::Load,
        ),
        statistics(
            "itl",
            "From each token to the next, over all tokens of all requests.",
            Metric::Itl,
            XValue::Load,
        ),
        statistics(
            "tpot",
            "Time per output token after the first, per request.",
            Metric::Tpot,
            XValue::Load,
        ),
        statistics(
            "e2e_latency",
            "From dispatch to the end of the response.",
            Metric::E2eLatency,
            XValue::Load,
        ),
        statistics(
            "ttft_from_schedule",
            "From the scheduled start of a request: the waiting time of a user in an open loop.",
            Metric::TtftFromSchedule,
            XValue::Load,
        ),
        statistics(
            "speed_by_throughput",
            "Speed for a user over throughput of the server. Up and to the right is better.",
            Metric::OutputInferenceSpeed,
            XValue::OutputThroughput,
        ),
        statistics(
            "ttft_by_throughput",
            "Down and to the right is better.",
            Metric::Ttft,
            XValue::OutputThroughput,
        ),
        statistics(
            "e2e_latency_by_requests",
            "Down and to the right is better.",
            Metric::E2eLatency,
            XValue::Requests,
        ),
        errors(&lines, &by),
        single(
            "goodput",
            "Share of requests that met all objectives. Failed requests do not meet them.",
            YValue::whole("Good requests", NumberFormat::Share, |n| {
                n.extra.goodput.as_ref().map(|goodput| goodput.share)
            }),
        ),
        phases(&lines, &by),
    ];
    figures.into_iter().flatten().collect()
}

/// Runs that differ only in their load or batch size.
struct Line<'a> {
    name: String,
    runs: Vec<(&'a RunSummary, &'a Aggregated)>,
}

fn lines(all: &[Results]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for results in all {
        for run in &results.runs {
            let sides = [
                ("", Some(&run.aggregated)),
                ("against", run.against.as_ref()),
            ];
            for (side, numbers) in sides {
                let Some(numbers) = numbers else { continue };
                let mut parts = Vec::new();
                if all.len() > 1 {
                    parts.push(results.experiment.name.clone());
                }
                parts.push(run.run.scenario.clone());
                if by_batch(run) {
                    if results.experiment.loads.len() > 1 {
                        parts.push(run.run.load.to_string());
                    }
                } else if run.run.batch_size > 1 {
                    parts.push(format!("batch {}", run.run.batch_size));
                }
                parts.extend((!side.is_empty()).then(|| side.to_owned()));
                let name = parts.join(" · ");
                match lines.iter_mut().find(|line| line.name == name) {
                    Some(line) => line.runs.push((run, numbers)),
                    None => lines.push(Line {
                        name,
                        runs: vec![(run, numbers)],
                    }),
                }
            }
        }
    }
    lines
}

fn by_batch(run: &RunSummary) -> bool {
    run.aggregated.iteration_type == IterationType::BatchSize
}

/// Positions on the load axis.
struct LoadAxis {
    label: &'static str,
    values: Vec<f64>,
}

impl LoadAxis {
    fn new(lines: &[Line<'_>]) -> Self {
        let runs = || {
            lines
                .iter()
                .flat_map(|line| &line.runs)
                .map(|(run, _)| *run)
        };
        let mut values: Vec<f64> = runs().map(Self::value).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let label = match runs().next() {
            Some(run) if by_batch(run) => "Batch size",
            Some(run) => match run.run.load {
                Load::Concurrency { .. } => "Concurrency",
                Load::Rate { .. } => "Configured requests/s",
                Load::Trace { .. } => "Speed of the trace",
                _ => "Load",
            },
            None => "",
        };
        Self { label, values }
    }

    fn value(run: &RunSummary) -> f64 {
        if by_batch(run) {
            f64::from(run.run.batch_size)
        } else {
            run.run.load.value()
        }
    }

    fn place(&self, run: &RunSummary) -> f64 {
        let value = Self::value(run);
        let place = self.values.iter().position(|known| *known == value);
        place.unwrap_or_default() as f64
    }

    fn axis(&self) -> Axis {
        Axis {
            label: self.label.to_owned(),
            kind: AxisKind::Named(self.values.iter().map(|value| number(*value)).collect()),
            format: NumberFormat::Number,
        }
    }
}

/// The quantity on the x axis.
enum XValue {
    Load,
    OutputThroughput,
    Requests,
}

impl XValue {
    fn axis(&self, load_axis: &LoadAxis) -> Axis {
        let label = match self {
            Self::Load => return load_axis.axis(),
            Self::OutputThroughput => "Output throughput of the server, tok/s",
            Self::Requests => "Requests/s",
        };
        Axis {
            label: label.to_owned(),
            ..Axis::default()
        }
    }

    fn name(&self, load_axis: &LoadAxis) -> &'static str {
        match self {
            Self::Load => load_axis.label,
            Self::OutputThroughput => "Output throughput",
            Self::Requests => "Requests per second",
        }
    }

    fn value(&self, load_axis: &LoadAxis, run: &RunSummary, numbers: &Aggregated) -> f64 {
        match self {
            Self::Load => load_axis.place(run),
            Self::OutputThroughput => numbers.mean_output_throughput_tokens_per_s,
            Self::Requests => numbers.requests_per_second,
        }
    }
}

/// The quantity on the y axis.
struct YValue {
    label: String,
    format: NumberFormat,
    value: Value,
}

enum Value {
    Statistic(Metric, Statistic),
    Run(fn(&Aggregated) -> Option<f64>),
}

impl YValue {
    fn of(metric: Metric, statistic: Statistic) -> Self {
        let (format, unit) = match metric.unit() {
            Unit::Seconds => (NumberFormat::Seconds, String::new()),
            unit => (NumberFormat::Number, format!(", {}", unit.sign())),
        };
        Self {
            label: format!("{} {statistic}{unit}", metric.title()),
            format,
            value: Value::Statistic(metric, statistic),
        }
    }

    fn whole(label: &str, format: NumberFormat, value: fn(&Aggregated) -> Option<f64>) -> Self {
        Self {
            label: label.to_owned(),
            format,
            value: Value::Run(value),
        }
    }

    fn value(&self, numbers: &Aggregated) -> Option<f64> {
        match self.value {
            Value::Statistic(metric, statistic) => numbers.get(statistic, metric),
            Value::Run(value) => value(numbers),
        }
    }

    fn interval(&self, numbers: &Aggregated) -> Option<Interval> {
        let Value::Statistic(metric, statistic) = self.value else {
            return None;
        };
        let of_metric = numbers.extra.intervals.get(&metric)?;
        of_metric.get(&statistic.to_string()).copied()
    }
}

fn chart(lines: &[Line<'_>], load_axis: &LoadAxis, x: &XValue, y: &YValue) -> Chart {
    let series = lines.iter().enumerate().map(|(at, line)| {
        let points = line.runs.iter().filter_map(|(run, numbers)| {
            // A quantity that was not measured, or is not part of the task, is 0 throughout.
            let value = y.value(numbers).filter(|value| *value != 0.0)?;
            let interval = y.interval(numbers);
            let mut tip = format!("{}\n{}: {}", run.run.load, y.label, y.format.text(value));
            if let Some(Interval { low, high }) = interval {
                let (low, high) = (y.format.text(low), y.format.text(high));
                tip.push_str(&format!("\n95 %: {low} to {high}"));
            }
            tip.push_str(&format!(
                "\n{}",
                count(numbers.num_completed_requests as usize, "request")
            ));
            Some(Point {
                interval: interval.map(|interval| (interval.low, interval.high)),
                ..Point::new(x.value(load_axis, run, numbers), value, tip)
            })
        });
        Series {
            name: line.name.clone(),
            colour: Colour::Number(at),
            mark: Mark::Line,
            points: points.collect(),
        }
    });
    let axis = x.axis(load_axis);
    Chart {
        title: format!(
            "{} by {}",
            without_unit(&y.label),
            x.name(load_axis).to_lowercase()
        ),
        y: Axis {
            label: y.label.clone(),
            kind: AxisKind::Linear,
            format: y.format,
        },
        series: series.filter(|series| !series.points.is_empty()).collect(),
        x: axis,
        stacked: false,
    }
}

/// `Output throughput` from `Output throughput, tok/s`.
fn without_unit(label: &str) -> &str {
    label.split_once(", ").map_or(label, |(name, _)| name)
}

fn figure(name: &str, about: &str, charts: Vec<(Option<Statistic>, Chart)>) -> Option<Figure> {
    let title = charts.iter().find(|(_, chart)| !chart.is_empty())?;
    let title = match title.0 {
        Some(statistic) => title.1.title.replacen(&format!(" {statistic}"), "", 1),
        None => title.1.title.clone(),
    };
    Some(Figure {
        name: name.to_owned(),
        title,
        about: about.to_owned(),
        charts,
    })
}

/// Errors by kind for one line, else the error rates of all lines.
fn errors(lines: &[Line<'_>], load_axis: &LoadAxis) -> Option<Figure> {
    let numbers = || {
        lines
            .iter()
            .flat_map(|line| &line.runs)
            .map(|(_, numbers)| *numbers)
    };
    if numbers().all(|numbers| numbers.num_error_requests == 0) {
        return None;
    }
    let mut chart = chart(
        lines,
        load_axis,
        &XValue::Load,
        &YValue::whole("Error rate", NumberFormat::Share, |n| Some(n.error_rate)),
    );
    if let [line] = lines {
        let mut kinds: Vec<String> = Vec::new();
        for (kind, _) in numbers().flat_map(kinds_of) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let series = kinds.into_iter().enumerate().map(|(at, kind)| {
            let points = line.runs.iter().filter_map(|(run, numbers)| {
                let (_, errors) = kinds_of(numbers)
                    .into_iter()
                    .find(|(known, _)| *known == kind)?;
                let share = errors as f64 / numbers.num_requests.max(1) as f64;
                let tip = format!(
                    "{}\n{errors} of {} ({})",
                    run.run.load,
                    count(numbers.num_requests as usize, "request"),
                    NumberFormat::Share.text(share)
                );
                Some(Point::new(load_axis.place(run), share, tip))
            });
            Series {
                points: points.collect(),
                colour: if at == 0 {
                    Colour::Bad
                } else {
                    Colour::Number(at)
                },
                mark: Mark::Bars,
                name: kind,
            }
        });
        chart.series = series.collect();
        chart.stacked = true;
    }
    let about =
        "Share of failed requests. Requests that were cancelled at the end are not included.";
    figure("errors", about, vec![(None, chart)])
}

/// The number of failures by kind, or by status if there is one.
fn kinds_of(numbers: &Aggregated) -> Vec<(String, u64)> {
    let outcomes = &numbers.extra.outcomes;
    let limited = (outcomes.rate_limited > 0).then(|| ("429".to_owned(), outcomes.rate_limited));
    let failed = outcomes.failed.iter();
    let failed =
        failed.map(|(kind, errors)| (RowOutcome::Failed(*kind).name().replace('_', " "), *errors));
    limited.into_iter().chain(failed).collect()
}

/// The mean durations of a request's phases, for one line of runs.
fn phases(lines: &[Line<'_>], load_axis: &LoadAxis) -> Option<Figure> {
    let [line] = lines else { return None };
    let replicate = [Metric::Queue, Metric::Predict];
    let has = |metric: Metric| {
        let mut numbers = line.runs.iter().map(|(_, numbers)| numbers);
        numbers.any(|numbers| {
            numbers
                .get(Statistic::Mean, metric)
                .is_some_and(|mean| mean > 0.0)
        })
    };
    let usual = [Metric::Send, Metric::Wait, Metric::Receive];
    let metrics = if replicate.into_iter().any(has) {
        replicate.to_vec()
    } else {
        usual.to_vec()
    };
    let series = metrics.into_iter().enumerate().map(|(at, metric)| {
        let points = line.runs.iter().filter_map(|(run, numbers)| {
            let mean = numbers.get(Statistic::Mean, metric)?;
            let tip = format!("{}\n{}", run.run.load, NumberFormat::Seconds.text(mean));
            Some(Point::new(load_axis.place(run), mean, tip))
        });
        Series {
            name: metric.title().to_owned(),
            colour: Colour::Number(at),
            mark: Mark::Bars,
            points: points.collect(),
        }
    });
    let chart = Chart {
        title: "Phases of a request".to_owned(),
        x: load_axis.axis(),
        y: Axis {
            label: "Mean time".to_owned(),
            kind: AxisKind::Linear,
            format: NumberFormat::Seconds,
        },
        series: series.filter(|series| !series.points.is_empty()).collect(),
        stacked: true,
    };
    let about = "Mean times of the parts of a request, at the client's socket; for Replicate, by \
                 its own clock. Connecting is not included: most requests reuse a connection.";
    figure("phases", about, vec![(None, chart)])
}
