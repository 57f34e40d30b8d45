//! A file of 64 times the size takes about 64 times as long.

use std::fmt::Write as _;
use std::time::Duration;

use cpu_time::ThreadTime;
use llm_gateway::Config;

use crate::support::registry;

/// Writes one more item of a file.
type Item = fn(&mut String, usize) -> std::fmt::Result;

/// A name, the beginning of the file, how many items a file of the middle size has, and an item.
const SHAPES: &[(&str, &str, usize, Item)] = &[
    ("models of one name", "model_list:\n", 400, |text, n| {
        let params = "model: acme/a/b, api_key: k, rpm: 1";
        writeln!(
            text,
            "- {{model_name: a, litellm_params: {{{params}, x{n}: 2}}}}"
        )
    }),
    ("models of many names", "model_list:\n", 400, |text, n| {
        let params = "model: gpt-4, timeout: x";
        writeln!(text, "- {{model_name: a{n}, litellm_params: {{{params}}}}}")
    }),
    ("unknown keys", "general_settings:\n", 1_200, |text, n| {
        // Of one length: how long a comparison with the known keys takes depends on it.
        writeln!(text, "  m{n:05}ster_key: 1")
    }),
    ("keys", "guardrails:\n", 1_200, |text, n| {
        writeln!(text, "  {n}: 1")
    }),
    ("one key", "guardrails:\n", 1_200, |text, _| {
        writeln!(text, "  a: 1")
    }),
    ("variables", "environment_variables:\n", 1_200, |text, n| {
        writeln!(text, "  V{n}: os.environ/V{}", n / 2)
    }),
    ("numbers on one line", "guardrails: [", 1_200, |text, _| {
        write!(text, "017, ")
    }),
    ("comments", "", 4_000, |text, _| writeln!(text, "# a")),
    ("lines of a text", "a: |\n", 4_000, |text, _| {
        writeln!(text, "  a")
    }),
    ("one long key", "", 40_000, |text, _| write!(text, "k")),
    ("one long text", "a: \"", 40_000, |text, _| {
        write!(text, "\\n")
    }),
    ("aliases", "a: &a {b: 1}\nguardrails:\n", 800, |text, n| {
        writeln!(text, "- &a{n} {{<<: *a}}\n- *a{n}")
    }),
];

#[test]
fn the_time_of_reading_grows_linearly_with_the_file() {
    for (name, head, count, item) in SHAPES {
        let file = |count| {
            let mut text = (*head).to_owned();
            (0..count).for_each(|number| item(&mut text, number).unwrap());
            text
        };
        let ratio = ratio(&file(count / 8), &file(8 * count));
        assert!(ratio < MOST, "{name}: {ratio}");
    }
}

/// Linear work gives 64 or less, quadratic work 4096. Work of which 15 % is quadratic at the middle
/// size gives 151. On a busy machine, the larger file also loses more of the caches.
const MOST: f64 = 150.0;

/// How many times as long the larger file takes, by the fastest of up to ten runs of each. The time
/// is that of this thread on the CPU, so that other work on the machine hardly counts.
fn ratio(small: &str, large: &str) -> f64 {
    let (mut of_small, mut of_large) = (Duration::MAX, Duration::MAX);
    let mut ratio = f64::INFINITY;
    for _ in 0..10 {
        of_small = of_small.min(time(small));
        of_large = of_large.min(time(large));
        ratio = of_large.as_secs_f64() / of_small.as_secs_f64();
        if ratio < MOST {
            break;
        }
    }
    ratio
}

fn time(text: &str) -> Duration {
    let registry = registry();
    let start = ThreadTime::now();
    drop(Config::parse(text, &registry, &|_| None));
    start.elapsed()
}
