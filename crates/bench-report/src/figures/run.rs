//! Charts of a single run: distributions and timelines.

use llm_bench::Phase;
use llm_bench::stats::Histogram;
use llm_bench::summary::{Metric, RunSummary, SummaryRow};

use super::{Figure, server};
use crate::chart::{Axis, AxisKind, Chart, Colour, Mark, NumberFormat, Point, Series};
use crate::number::{count, duration, percent};

/// The figures of a run that are not empty.
pub(crate) fn of_run(run: &RunSummary) -> Vec<Figure> {
    let figures = [
        distribution(run, Metric::Ttft, "request"),
        distribution(run, Metric::Itl, "token"),
        distribution(run, Metric::E2eLatency, "request"),
        distribution(run, Metric::JobTime, "job"),
        timeline(run),
        in_flight(run),
        per_second(run),
    ];
    let mut figures: Vec<Figure> = figures.into_iter().flatten().collect();
    figures.extend(server::of_run(run));
    figures
}

/// The distribution of a duration.
fn distribution(run: &RunSummary, metric: Metric, what: &str) -> Option<Figure> {
    let sides = [
        ("", Some(&run.aggregated)),
        ("against", run.against.as_ref()),
    ];
    let of = |(name, numbers): (&'static str, Option<&'_ llm_bench::summary::Aggregated>)| {
        let histogram = numbers?.extra.histograms.get(&metric)?.clone();
        Some((name, histogram))
    };
    let histograms: Vec<(&str, Histogram)> = sides.into_iter().filter_map(of).collect();
    let low = histograms.iter().filter_map(|(_, h)| h.percentile(0.0));
    let low = low.fold(f64::INFINITY, f64::min);
    let high = histograms.iter().filter_map(|(_, h)| h.percentile(99.9));
    let high = high.fold(0.0, f64::max);
    if !low.is_finite() {
        return None;
    }
    // Bars are at least as wide as the resolution of the histogram.
    let width = ((high - low) / BARS as f64).max(high * 2e-3).max(1e-9);
    let series = histograms
        .iter()
        .enumerate()
        .map(|(at, (name, histogram))| {
            let mut bars = [0u64; BARS + 1];
            for (nanoseconds, times) in histogram.buckets() {
                let bar = (nanoseconds as f64 / 1e9 - low) / width;
                bars[(bar.max(0.0) as usize).min(BARS)] += times;
            }
            let total = histogram.count();
            let points = bars.iter().enumerate().filter(|(_, times)| **times > 0);
            let points = points.map(|(bar, times)| {
                let from = low + bar as f64 * width;
                let to = from + width;
                let range = if bar == BARS {
                    format!("beyond {}", duration(from))
                } else {
                    format!("{} to {}", duration(from), duration(to))
                };
                let share = *times as f64 / total as f64;
                let times = count(*times as usize, what);
                Point {
                    to_x: Some(to),
                    ..Point::new(from, share, format!("{range}\n{times}, {}", percent(share)))
                }
            });
            Series {
                name: (*name).to_owned(),
                mark: Mark::Bars,
                colour: Colour::Number(at),
                points: points.collect(),
            }
        });
    let chart = Chart {
        title: metric.title().to_owned(),
        x: Axis {
            kind: AxisKind::Range,
            ..axis(metric.title(), NumberFormat::Seconds)
        },
        y: axis(&format!("Share of {what}s"), NumberFormat::Share),
        series: series.collect(),
        stacked: false,
    };
    let about = "Distribution of times. The last bar has the slowest thousandth.";
    Some(figure(metric.name(), about, chart))
}

/// The time to first token of each request over its start.
fn timeline(run: &RunSummary) -> Option<Figure> {
    let kinds: [Category; 3] = [
        Category("counted", Colour::Number(0), |row| {
            row.is_ok() && row.phase == Phase::Measured
        }),
        Category("excluded", Colour::Number(7), |row| {
            row.is_ok() && row.phase != Phase::Measured
        }),
        Category("failed", Colour::Bad, |row| row.outcome.is_error()),
    ];
    let mut left_out = 0;
    let series = kinds.into_iter().map(|Category(name, colour, is)| {
        let mut rows: Vec<&SummaryRow> = run.rows.iter().filter(|row| is(row)).collect();
        let span = |row: &SummaryRow| Some(row.ended? - row.started?);
        let time = |row: &SummaryRow| row.ttft.or_else(|| span(row)).unwrap_or(0.0);
        if rows.len() > MAX_DOTS {
            left_out += rows.len() - MAX_DOTS;
            // The slowest requests are all drawn; of the others, a sample.
            rows.sort_by(|a, b| time(b).total_cmp(&time(a)));
            let (slowest, others) = rows.split_at(MAX_DOTS / 4);
            let step = others.len().div_ceil(MAX_DOTS - slowest.len());
            rows = slowest
                .iter()
                .chain(others.iter().step_by(step))
                .copied()
                .collect();
        }
        let points = rows.into_iter().filter_map(|row| {
            let started = row.started?;
            let ended = match &row.error_message {
                Some(message) => format!("failed after {}: {message}", duration(time(row))),
                None => format!("first token after {}", duration(time(row))),
            };
            let tip = format!("request {}, at {}\n{ended}", row.id, duration(started));
            Some(Point::new(started, time(row), tip))
        });
        Series {
            name: name.to_owned(),
            mark: Mark::Dots,
            colour,
            points: points.collect(),
        }
    });
    let chart = Chart {
        title: "Requests over time".to_owned(),
        x: axis("Start of the request in the run", NumberFormat::Seconds),
        y: axis("TTFT, or time until failure", NumberFormat::Seconds),
        series: series.filter(|series| !series.points.is_empty()).collect(),
        stacked: false,
    };
    let about = match left_out {
        0 => "Each dot is a request.".to_owned(),
        n => format!("Each dot is a request. {n} of the faster requests are not drawn."),
    };
    (!chart.is_empty()).then(|| figure("timeline", &about, chart))
}

/// The number of requests in flight.
fn in_flight(run: &RunSummary) -> Option<Figure> {
    let spans = run.rows.iter().filter_map(|row| row.started.zip(row.ended));
    let spans: Vec<(f64, f64)> = spans.collect();
    let (times, width) = bins(&spans)?;
    let points = times.into_iter().map(|from| {
        let to = from + width;
        let busy = |(start, end): &(f64, f64)| (end.min(to) - start.max(from)).max(0.0);
        let mean = spans.iter().map(busy).sum::<f64>() / width;
        Point::new(from + width / 2.0, mean, "")
    });
    let series = Series {
        mark: Mark::Plain,
        points: points.collect(),
        ..Series::default()
    };
    let chart = Chart {
        title: "Requests in flight".to_owned(),
        x: axis("Time in the run", NumberFormat::Seconds),
        y: axis("Requests", NumberFormat::Number),
        series: vec![series],
        stacked: false,
    };
    Some(figure(
        "in_flight",
        "Mean number of requests in flight.",
        chart,
    ))
}

/// The number of requests that ended per second.
fn per_second(run: &RunSummary) -> Option<Figure> {
    let spans = run.rows.iter().filter_map(|row| row.started.zip(row.ended));
    let (times, width) = bins(&spans.collect::<Vec<_>>())?;
    let kinds: [Category; 2] = [
        Category("completed", Colour::Number(2), SummaryRow::is_ok),
        Category("failed", Colour::Bad, |row| row.outcome.is_error()),
    ];
    let series = kinds.into_iter().map(|Category(name, colour, is)| {
        let mut ended = vec![0u32; times.len()];
        for row in run.rows.iter().filter(|row| is(row)) {
            let bin = (row.ended.unwrap_or(0.0) - times[0]) / width;
            ended[(bin.max(0.0) as usize).min(times.len() - 1)] += 1;
        }
        let any = ended.iter().any(|ended| *ended > 0);
        let points = times
            .iter()
            .zip(ended)
            .map(|(from, ended)| Point::new(from + width / 2.0, f64::from(ended) / width, ""));
        Series {
            name: name.to_owned(),
            mark: Mark::Plain,
            colour,
            points: if any { points.collect() } else { Vec::new() },
        }
    });
    let chart = Chart {
        title: "Requests ended per second".to_owned(),
        x: axis("Time in the run", NumberFormat::Seconds),
        y: axis("Requests/s", NumberFormat::Number),
        series: series.filter(|series| !series.points.is_empty()).collect(),
        stacked: false,
    };
    let about = "Completed and failed requests over time.";
    (!chart.is_empty()).then(|| figure("per_second", about, chart))
}

/// The starts of equal intervals of the time with requests, and their length.
fn bins(spans: &[(f64, f64)]) -> Option<(Vec<f64>, f64)> {
    let start = spans
        .iter()
        .map(|span| span.0)
        .fold(f64::INFINITY, f64::min);
    let end = spans.iter().map(|span| span.1).fold(0.0, f64::max);
    let width = (end - start) / BARS as f64;
    let times = (0..BARS).map(|bin| start + bin as f64 * width).collect();
    (width.is_finite() && width > 0.0).then_some((times, width))
}

pub(super) fn axis(label: &str, format: NumberFormat) -> Axis {
    Axis {
        label: label.to_owned(),
        kind: AxisKind::Linear,
        format,
    }
}

pub(super) fn figure(name: &str, about: &str, chart: Chart) -> Figure {
    Figure {
        name: name.to_owned(),
        title: chart.title.clone(),
        about: about.to_owned(),
        charts: vec![(None, chart)],
    }
}

/// A kind of requests: name, colour and filter.
struct Category(&'static str, Colour, fn(&SummaryRow) -> bool);

const BARS: usize = 48;
const MAX_DOTS: usize = 800;
