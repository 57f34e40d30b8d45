//! Measures the costs as ratios. The two sides of a ratio take turns and the best time of each
//! counts, so that a busy machine has little effect. Fails if a ratio exceeds its limit: `cargo
//! bench -p prompt-templates --features jinja --bench ratios`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark may panic"
)]

mod common;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use prompt_templates::{ChatTemplate, ControlTokens, Family, Options};

use common::{SIZES, bare};

fn main() -> ExitCode {
    println!("| what | microseconds | is | limit |\n|---|---|---|---|");
    let mut holds = true;
    for (name, source) in bare::TEMPLATES {
        for (count, length) in SIZES {
            holds &= measure(name, source, count, length);
        }
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn measure(name: &str, source: &str, count: usize, length: usize) -> bool {
    let texts = common::texts(count, length);
    let messages = common::messages(&texts);
    let keep = Options::new()
        .with_bos(true)
        .with_control_tokens(ControlTokens::Keep);
    let neutralise = keep.clone().with_control_tokens(ControlTokens::Neutralise);

    let family = Family::from_name(name).unwrap();
    let prompt = family.render(&messages, &keep).unwrap();
    let pieces = common::pieces(&prompt, &texts);
    let env = bare::environment();
    let minijinja = env.get_template(name).unwrap();
    let values = bare::messages(&messages, &texts);
    let template = ChatTemplate::compile(name, source).unwrap();
    let template = template
        .with_bos_token(family.bos())
        .with_eos_token(family.eos());

    let mut out = String::with_capacity(2 * prompt.len());
    let mut bytes = Vec::new();
    let mut best = [f64::MAX; 6];
    for _ in 0..200 {
        let mut time = |index: usize, times: u32, work: &mut dyn FnMut()| {
            let start = Instant::now();
            for _ in 0..times {
                work();
            }
            let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(times);
            best[index] = best[index].min(each);
        };
        time(0, 1_000, &mut || {
            out.clear();
            for piece in black_box(&pieces) {
                out.push_str(piece);
            }
            black_box(&out);
        });
        for (index, options) in [(1, &keep), (2, &neutralise)] {
            time(index, 1_000, &mut || {
                out.clear();
                family
                    .render_into(&mut out, black_box(&messages), options)
                    .unwrap();
                black_box(&out);
            });
        }
        time(3, 100, &mut || {
            bytes.clear();
            bare::render(&minijinja, black_box(&values), &mut bytes);
            black_box(&bytes);
        });
        for (index, options) in [(4, &keep), (5, &neutralise)] {
            time(index, 100, &mut || {
                out.clear();
                template
                    .render_into(&mut out, black_box(&messages), options)
                    .unwrap();
                black_box(&out);
            });
        }
    }
    let [concat, native, safe_native, bare, jinja, safe_jinja] = best;
    let (native_limit, safe_limit) = if count > 3 { (1.5, 3.0) } else { (4.0, 4.0) };
    let row = |what: &str, time: f64, of: f64, base: &str, limit: f64| {
        println!(
            "| {name} {count} x {length} B, {what} | {time:.3} | {:.2} x {base} | {limit} |",
            time / of
        );
        time <= of * limit
    };
    row("concatenated", concat, concat, "itself", 1.0)
        & row("native", native, concat, "concatenated", native_limit)
        & row(
            "native, neutralised",
            safe_native,
            concat,
            "concatenated",
            safe_limit,
        )
        & row("bare minijinja", bare, bare, "itself", 1.0)
        & row("`ChatTemplate`", jinja, bare, "bare", 1.3)
        & row("`ChatTemplate`, neutralised", safe_jinja, bare, "bare", 1.3)
}
