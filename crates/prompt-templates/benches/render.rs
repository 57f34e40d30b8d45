//! Compares native families with a plain concatenation of the same markers and contents, and chat
//! templates with bare minijinja, using criterion: `cargo bench -p prompt-templates --features
//! jinja --bench render`.
#![allow(
    missing_docs,
    reason = "criterion's macros make public items without any"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

mod common;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prompt_templates::{ControlTokens, Family, Options};

use common::SIZES;

fn native(c: &mut Criterion) {
    for family in [
        Family::CHATML,
        Family::LLAMA_3,
        Family::LLAMA_2,
        Family::VICUNA,
    ] {
        let mut group = c.benchmark_group(format!("native/{family}"));
        for (count, length) in SIZES {
            let texts = common::texts(count, length);
            let messages = common::messages(&texts);
            let keep = Options::new().with_control_tokens(ControlTokens::Keep);
            let neutralise = Options::new().with_control_tokens(ControlTokens::Neutralise);
            let prompt = family.render(&messages, &keep).unwrap();
            let pieces = common::pieces(&prompt, &texts);
            let size = format!("{count}x{length}");
            group.throughput(Throughput::Bytes(prompt.len() as u64));
            let mut out = String::with_capacity(prompt.len());
            group.bench_function(BenchmarkId::new("concat", &size), |b| {
                b.iter(|| {
                    out.clear();
                    for piece in black_box(&pieces) {
                        out.push_str(piece);
                    }
                    black_box(&out).len()
                });
            });
            for (name, options) in [("keep", &keep), ("neutralise", &neutralise)] {
                group.bench_function(BenchmarkId::new(name, &size), |b| {
                    b.iter(|| {
                        out.clear();
                        family
                            .render_into(&mut out, black_box(&messages), options)
                            .unwrap();
                        black_box(&out).len()
                    });
                });
            }
        }
        group.finish();
    }
}

#[cfg(feature = "jinja")]
fn jinja(c: &mut Criterion) {
    use common::bare;
    use prompt_templates::ChatTemplate;

    let env = bare::environment();
    for (name, source) in bare::TEMPLATES {
        let template = ChatTemplate::compile(name, source).unwrap();
        let template = template.with_bos_token("<s>").with_eos_token("</s>");
        let minijinja = env.get_template(name).unwrap();
        let mut group = c.benchmark_group(format!("jinja/{name}"));
        for (count, length) in SIZES {
            let texts = common::texts(count, length);
            let messages = common::messages(&texts);
            let values = bare::messages(&messages, &texts);
            let size = format!("{count}x{length}");
            let mut bytes = Vec::new();
            group.bench_function(BenchmarkId::new("minijinja", &size), |b| {
                b.iter(|| {
                    bytes.clear();
                    bare::render(&minijinja, black_box(&values), &mut bytes);
                    black_box(&bytes).len()
                });
            });
            let keep = Options::new()
                .with_bos(true)
                .with_control_tokens(ControlTokens::Keep);
            let neutralise = keep.clone().with_control_tokens(ControlTokens::Neutralise);
            let mut out = String::new();
            for (name, options) in [("keep", &keep), ("neutralise", &neutralise)] {
                group.bench_function(BenchmarkId::new(name, &size), |b| {
                    b.iter(|| {
                        out.clear();
                        template
                            .render_into(&mut out, black_box(&messages), options)
                            .unwrap();
                        black_box(&out).len()
                    });
                });
            }
        }
        group.finish();
    }
}

#[cfg(not(feature = "jinja"))]
fn jinja(_: &mut Criterion) {}

criterion_group!(benches, native, jinja);
criterion_main!(benches);
