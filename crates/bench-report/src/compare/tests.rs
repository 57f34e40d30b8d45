use llm_bench::test_util::{answered, experiment, refused, run};
use llm_bench::{Load, Results};

use super::*;

/// Runs with these times to first token in milliseconds.
fn results(ttfts: impl IntoIterator<Item = u64>, refusals: u64) -> Results {
    let ttfts = (0u64..).zip(ttfts);
    let mut records: Vec<_> = ttfts
        .map(|(id, ttft)| answered(id, id * 1_000_000, ttft * 1_000_000, 10, 10_000))
        .collect();
    records.extend((0..refusals).map(|id| refused(1000 + id, 0, 429)));
    let mut run = run(Load::default(), 0);
    run.records = records;
    run.measured_ns = (0, 1_000_000_000);
    Results::new(experiment().0, &[run])
}

#[track_caller]
fn check(condition: &str, before: &Results, after: &Results, expected: Verdict) {
    let comparison = Comparison::new(before, after);
    let (verdict, evidence) = Condition::parse(condition)
        .unwrap()
        .check(comparison.pairs[0], false);
    assert_eq!(verdict, expected, "{condition}: {evidence:?}");
}

#[test]
fn signed_limits_apply_to_the_change() {
    let (before, after) = (results(50..150, 0), results(60..160, 0));
    for (condition, expected) in [
        ("p99(ttft) > +5%", Verdict::Holds),
        ("p99(ttft) > +10%", Verdict::DoesNotHold),
        ("median(ttft) > +9ms", Verdict::Holds),
        ("median(ttft) > +11ms", Verdict::DoesNotHold),
        ("median(ttft) > 105ms", Verdict::Holds),
        ("median(ttft) > 110ms", Verdict::DoesNotHold),
        ("max(ttft) < 0.2s and min(ttft) >= 59000us", Verdict::Holds),
        ("rps < -5% or error_rate > 1%", Verdict::DoesNotHold),
        ("not (p50(ttft) > +1% or rps < -1%)", Verdict::DoesNotHold),
        ("mean(e2e) > +1% and not error_rate > 0%", Verdict::Holds),
        ("output_throughput > 100", Verdict::Holds),
    ] {
        check(condition, &before, &after, expected);
    }
    // In the other direction, it improved.
    check("p99(ttft) > +5%", &after, &before, Verdict::DoesNotHold);
    check("p99(ttft) < -5%", &after, &before, Verdict::Holds);
}

#[test]
fn errors_are_shares() {
    let (before, after) = (results(50..150, 0), results(50..150, 10));
    check("error_rate > 9%", &before, &after, Verdict::Holds);
    check("error_rate > +9pp", &before, &after, Verdict::Holds);
    check("error_rate > +9.2pp", &before, &after, Verdict::DoesNotHold);
    // An increase from zero is infinite.
    check("error_rate > +1000%", &before, &after, Verdict::Holds);
    check("error_rate > +0%", &before, &before, Verdict::DoesNotHold);
}

#[test]
fn quantities_that_were_not_measured_are_unknown() {
    let (before, none) = (results(50..150, 0), results([], 10));
    check("p99(ttft) > +5%", &before, &none, Verdict::Unknown);
    check(
        "p99(ttft) > +5% or error_rate > 50%",
        &before,
        &none,
        Verdict::Holds,
    );
    check(
        "p99(ttft) > +5% and error_rate < 50%",
        &before,
        &none,
        Verdict::DoesNotHold,
    );
    check("mean(queue) > 1s", &before, &before, Verdict::Unknown);
}

#[test]
fn insignificant_changes_can_be_ignored() {
    // Ten requests say little about a p90.
    let before = results([50, 51, 90, 52, 50, 60, 51, 55, 53, 50], 0);
    let after = results([52, 50, 99, 51, 98, 52, 50, 54, 51, 58], 0);
    let comparison = Comparison::new(&before, &after);
    let condition = Condition::parse("p90(ttft) > +5%").unwrap();
    let (plain, evidence) = condition.check(comparison.pairs[0], false);
    assert_eq!(plain, Verdict::Holds);
    assert!(
        !evidence[0].change.unwrap().is_significant(),
        "{evidence:?}"
    );
    assert_eq!(
        condition.check(comparison.pairs[0], true).0,
        Verdict::DoesNotHold
    );
    let slower = results(150..250, 0);
    let comparison = Comparison::new(&before, &slower);
    assert_eq!(condition.check(comparison.pairs[0], true).0, Verdict::Holds);
}

#[test]
fn runs_without_a_counterpart_are_listed() {
    let (experiment, mut runs) = experiment();
    let before = Results::new(experiment.clone(), &runs);
    runs.remove(0);
    runs.push(run(Load::Concurrency { concurrency: 64 }, 5));
    let after = Results::new(experiment, &runs);
    let comparison = Comparison::new(&before, &after);
    assert_eq!(comparison.pairs.len(), 2);
    assert_eq!(comparison.only_before, ["D(100,20) concurrency 1"]);
    assert_eq!(comparison.only_after, ["D(100,20) concurrency 64"]);
}

#[test]
fn errors_point_to_their_position() {
    let texts = [
        "",
        "p99",
        "p99(tft) > +5%",
        "ttft > +5%",
        "p99(ttft) = 5",
        "p99(ttft) > 5",
        "p99(ttft) > 5%",
        "p99(ttft) > +5kg",
        "p99(ttft > +5%",
        "error_rates > 1%",
        "error_rate > 1",
        "error_rate > +1",
        "rps < +5ms",
        "p999(ttft) > 1s",
        "(rps < 5",
        "rps < 5 p50(ttft) > 1s",
        "rps < fast",
        "größe > 1",
        "rps < 1\nor",
    ];
    let errors = texts.map(|text| Condition::parse(text).unwrap_err().to_string());
    insta::assert_snapshot!(errors.join("\n\n"));
    let deep = "(".repeat(100_000);
    assert!(Condition::parse(&deep).is_err());
}
