//! `bench compare`: prints the changes and checks the conditions.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use bench_report::compare::{
    Comparison, Condition, Evidence, Pair, Quantity, RunQuantity, Verdict,
};
use bench_report::write_comparison;
use llm_bench::Results;
use llm_bench::stats::{Change, Statistic};
use llm_bench::summary::Metric;
use serde_json::{Value, json};

use crate::bench::{Misuse, commands};
use crate::output::{Colour, Styled, note, print, print_styled};

pub(crate) fn run(args: &commands::Compare) -> Result<ExitCode> {
    let conditions = args.fail_if.iter().map(|text| Condition::parse(text));
    let conditions: Vec<Condition> = match conditions.collect() {
        Ok(conditions) => conditions,
        Err(error) => {
            note("error", Colour::Red, error);
            return Ok(ExitCode::from(2));
        }
    };
    let mut before = load(&args.before)?;
    let mut after = load(&args.after)?;
    if before.experiment.name == after.experiment.name {
        // The page must distinguish them.
        before.experiment.name.push_str(" (before)");
        after.experiment.name.push_str(" (after)");
    }
    let comparison = Comparison::new(&before, &after);
    if comparison.pairs.is_empty() {
        return Err(Misuse(format!(
            "no run of {} has a counterpart in {}: runs are paired by scenario, load and batch size\n  \
             first:  {}\n  second: {}",
            args.before.display(),
            args.after.display(),
            comparison.only_before.join(", "),
            comparison.only_after.join(", "),
        ))
        .into());
    }
    let mut failed = 0;
    for pair in &comparison.pairs {
        let checks = conditions.iter().map(|condition| {
            let (verdict, evidence) = condition.check(*pair, args.significant);
            (condition, verdict, evidence)
        });
        let checks: Vec<_> = checks.collect();
        failed += checks
            .iter()
            .filter(|(_, verdict, _)| *verdict != Verdict::DoesNotHold)
            .count();
        if args.json {
            print(format_args!("{}\n", as_json(*pair, &checks)))?;
        } else {
            print_styled(&as_text(*pair, &checks))?;
        }
    }
    for (labels, which) in [
        (&comparison.only_before, "first"),
        (&comparison.only_after, "second"),
    ] {
        if !labels.is_empty() {
            let text = format!("only the {which} experiment has: {}", labels.join(", "));
            note("warning", Colour::Yellow, text);
        }
    }
    if !conditions.is_empty() && !comparison.only_before.is_empty() {
        let text = "runs of the first experiment are missing in the second, so --fail-if cannot be \
                    checked for them";
        note("error", Colour::Red, text);
        failed += 1;
    }
    if let Some(file) = &args.html {
        write_comparison(file, &[before, after])?;
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn load(folder: &Path) -> Result<Results> {
    let results = Results::load(folder)?;
    (!results.runs.is_empty())
        .then_some(results)
        .with_context(|| format!("no runs in {}", folder.display()))
}

type Check<'a> = (&'a Condition, Verdict, Vec<Evidence>);

fn as_text(pair: Pair<'_>, checks: &[Check<'_>]) -> Styled {
    let mut text = Styled::default();
    text.push(format_args!("{}\n", pair.label()));
    for quantity in QUANTITIES {
        let Some(change) = quantity.change(pair) else {
            continue;
        };
        // Not part of the task, such as the TPOT of embeddings.
        if change.before == 0.0 && change.after == 0.0 && quantity != ERRORS {
            continue;
        }
        text.push(format_args!("  {:20} ", quantity.to_string()));
        push_change(&mut text, quantity, change);
        text.push('\n');
    }
    for (condition, verdict, evidence) in checks {
        let (word, colour) = match verdict {
            Verdict::Holds => ("FAIL", Colour::Red),
            Verdict::DoesNotHold => ("ok", Colour::Green),
            Verdict::Unknown => ("FAIL, not measured", Colour::Red),
        };
        text.push("  ");
        text.paint(colour, word);
        text.push(format_args!(": {condition}"));
        let mut separator = ": ";
        for Evidence {
            quantity, change, ..
        } in evidence
        {
            text.push(format_args!("{separator}{quantity} "));
            match change {
                Some(change) => push_change(&mut text, *quantity, *change),
                None => text.push("was not measured"),
            }
            separator = "; ";
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// `52.6 ms -> 56.2 ms, +6.8 % (95 %: +3.1 ms to +4.0 ms)`
fn push_change(text: &mut Styled, quantity: Quantity, change: Change) {
    if change.before.is_nan() {
        return text.push(quantity.text(change.after));
    }
    text.push(format_args!(
        "{} -> {}, ",
        quantity.text(change.before),
        quantity.text(change.after)
    ));
    if change.absolute() == 0.0 {
        return text.push("unchanged");
    }
    if change.relative().is_finite() {
        text.push(format_args!("{:+.1} %", change.relative() * 100.0));
    } else {
        text.push("from zero");
    }
    if let Some(interval) = change.interval {
        let signed = |value: f64| {
            let sign = if value > 0.0 { "+" } else { "" };
            format!("{sign}{}", quantity.text(value))
        };
        text.push(format_args!(
            " (95 %: {} to {}{})",
            signed(interval.low),
            signed(interval.high),
            if change.is_significant() {
                ""
            } else {
                ", not significant"
            }
        ));
    }
    let worse = (change.absolute() > 0.0) != quantity.higher_is_better();
    if change.is_significant() {
        let (word, colour) = if worse {
            (" worse", Colour::Red)
        } else {
            (" better", Colour::Green)
        };
        text.paint(colour, word);
    }
}

fn as_json(pair: Pair<'_>, checks: &[Check<'_>]) -> Value {
    let change = |change: Change| {
        json!({
            "before": change.before,
            "after": change.after,
            "relative": change.relative(),
            "interval": change.interval,
            "significant": change.is_significant(),
        })
    };
    let changes = QUANTITIES.into_iter();
    let changes = changes.filter_map(|q| Some((q.to_string(), change(q.change(pair)?))));
    let checks = checks.iter().map(|(condition, verdict, evidence)| {
        let evidence = evidence.iter();
        let evidence =
            evidence.map(|e| (e.quantity.to_string(), e.change.map_or(Value::Null, change)));
        json!({
            "condition": condition.to_string(),
            "failed": *verdict != Verdict::DoesNotHold,
            "measured": *verdict != Verdict::Unknown,
            "evidence": evidence.collect::<serde_json::Map<_, _>>(),
        })
    });
    json!({
        "run": pair.label(),
        "changes": changes.collect::<serde_json::Map<_, _>>(),
        "conditions": checks.collect::<Vec<_>>(),
    })
}

const ERRORS: Quantity = Quantity::Run(RunQuantity::ErrorRate);

/// The quantities that are always shown.
const QUANTITIES: [Quantity; 11] = [
    Quantity::Statistic(Statistic::Mean, Metric::Ttft),
    Quantity::Statistic(Statistic::Percentile(50.0), Metric::Ttft),
    Quantity::Statistic(Statistic::Percentile(99.0), Metric::Ttft),
    Quantity::Statistic(Statistic::Mean, Metric::Tpot),
    Quantity::Statistic(Statistic::Percentile(99.0), Metric::Itl),
    Quantity::Statistic(Statistic::Mean, Metric::E2eLatency),
    Quantity::Statistic(Statistic::Percentile(99.0), Metric::E2eLatency),
    Quantity::Run(RunQuantity::RequestsPerSecond),
    Quantity::Run(RunQuantity::OutputThroughput),
    Quantity::Run(RunQuantity::Goodput),
    ERRORS,
];
