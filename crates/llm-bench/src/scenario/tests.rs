use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;

#[test]
fn a_scenario_is_displayed_as_it_was_parsed() {
    for text in [
        "D(100,100)",
        "N(480,240)/(300,150)",
        "U(50,100)/(200,250)",
        "U(0,50)/(0,20)",
        "U(50,20)",
        "E(64)",
        "R(64,100)",
        "I(512,512)",
        "I(1024,512,3)",
        "dataset",
    ] {
        assert_eq!(text.parse::<TrafficScenario>().unwrap().to_string(), text);
    }
    let short: TrafficScenario = " U( 50, 100 ) ".parse().unwrap();
    assert_eq!(short.to_string(), "U(50,100)");
}

#[test]
fn an_invalid_scenario_is_an_error_with_the_expected_form() {
    for (text, part) in [
        ("", "expected a form"),
        ("D(100)", "expected D(in,out)"),
        ("D(0,5)", "at least 1"),
        ("D(1.5,5)", "whole numbers"),
        ("D(1,2", "expected a form"),
        ("U(9,3)/(1,2)", "minimum first"),
        ("N(5,5)", "expected N(mean,sd)/(mean,sd)"),
        ("X(1,2)", "at the start"),
        ("I(0,5)", "1 to 8192 pixels"),
        ("I(5,5,0)", "1 to 64"),
        ("D(99999999999999999999,1)", "expected a form"),
        ("É(1)", "at the start"),
    ] {
        let error = text.parse::<TrafficScenario>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let image: TrafficScenario = "I(5,5)".parse().unwrap();
    let error = image.check(Task::TextToText).unwrap_err().to_string();
    assert!(error.contains("does not fit text-to-text"), "{error}");
}

#[test]
fn numbers_are_limited() {
    for text in [
        "D(99999999999,5)",
        "D(5,10000001)",
        "N(5,18446744073709551615)/(5,5)",
        "U(1,10000001)/(1,2)",
        "U(10000001,1)",
        "E(10000001)",
        "R(1,10000001)",
    ] {
        let error = text.parse::<TrafficScenario>().unwrap_err().to_string();
        assert!(error.contains("at most 10,000,000"), "{text}: {error}");
    }
    for text in ["I(8193,1)", "I(1,4294967297)", "I(1,1,65)"] {
        let error = text.parse::<TrafficScenario>().unwrap_err().to_string();
        assert!(error.contains("1 to 8192 pixels"), "{text}: {error}");
    }
    let error = "I(8192,8192,5)".parse::<TrafficScenario>().unwrap_err();
    assert!(error.to_string().contains("268435456"), "{error}");
    assert!("D(10000000,10000000)".parse::<TrafficScenario>().is_ok());
    assert!("I(8192,8192,4)".parse::<TrafficScenario>().is_ok());
}

#[test]
fn a_scenario_built_without_the_parser_is_checked() {
    for scenario in [
        TrafficScenario::Deterministic {
            input: u64::MAX,
            output: 1,
        },
        TrafficScenario::Uniform {
            input: (9, 3),
            output: (1, 1),
        },
        TrafficScenario::Normal {
            input: (0, 1),
            output: (1, 1),
        },
    ] {
        assert!(scenario.check(Task::TextToText).is_err(), "{scenario}");
    }
}

#[test]
fn the_total_size_of_documents_is_limited() {
    let scenario: TrafficScenario = "E(1000)".parse().unwrap();
    assert!(scenario.check_batch(10_000).is_ok());
    assert!(scenario.check_batch(10_001).is_err());
    let scenario: TrafficScenario = "R(1000,5)".parse().unwrap();
    assert!(scenario.check_batch(u32::MAX).is_err());
}

proptest! {
    #[test]
    fn any_text_is_an_error_or_a_bounded_scenario(
        text in prop_oneof![
            any::<String>(),
            "[DNUERIdx]\\([0-9 ,]{0,40}\\)(/\\([0-9 ,]{0,40}\\))?",
        ],
        seed in any::<u64>(),
    ) {
        if let Ok(scenario) = text.parse::<TrafficScenario>() {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            if let Some((input, output)) = scenario.sample(&mut rng) {
                prop_assert!((1..=TrafficScenario::MAX_TOKENS).contains(&input));
                prop_assert!((1..=TrafficScenario::MAX_TOKENS).contains(&output));
            }
            prop_assert_eq!(scenario.check_numbers(), Ok(()));
            prop_assert_eq!(scenario.to_string().parse::<TrafficScenario>().unwrap(), scenario);
        }
    }
}

#[test]
fn samples_follow_the_distribution() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut mean = |text: &str| {
        let scenario: TrafficScenario = text.parse().unwrap();
        let samples: Vec<_> = (0..4000)
            .map(|_| scenario.sample(&mut rng).unwrap())
            .collect();
        let min = samples.iter().map(|sample| sample.1).min().unwrap();
        let sum: u64 = samples.iter().map(|sample| sample.0).sum();
        (sum as f64 / 4000.0, min)
    };
    assert_eq!(mean("D(7,3)"), (7.0, 3));
    let (normal, min) = mean("N(480,24)/(3,30)");
    assert!((normal - 480.0).abs() < 3.0 && min == 2, "{normal} {min}");
    let (uniform, min) = mean("U(100,200)/(5,6)");
    assert!((uniform - 150.0).abs() < 3.0 && min == 5, "{uniform} {min}");
}

#[test]
fn every_task_has_default_scenarios() {
    for task in [
        Task::TextToText,
        Task::ImageTextToText,
        Task::TextToEmbeddings,
        Task::TextToRerank,
    ] {
        let defaults = TrafficScenario::defaults(task);
        assert!(defaults.len() >= 3);
        assert!(defaults.iter().all(|scenario| scenario.check(task).is_ok()));
    }
}
