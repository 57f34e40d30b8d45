//! Native families against a plain concatenation of the same bytes, and chat templates against
//! bare minijinja: `cargo bench -p prompt-templates --features jinja`.
#![allow(
    missing_docs,
    reason = "criterion's macros make public items without any"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prompt_templates::{ControlTokens, Family, Message, Options};

/// Conversations of so many messages of so many bytes.
const SIZES: [(usize, usize); 2] = [(3, 60), (20, 400)];

fn native(c: &mut Criterion) {
    for family in [
        Family::CHATML,
        Family::LLAMA_3,
        Family::LLAMA_2,
        Family::VICUNA,
    ] {
        let mut group = c.benchmark_group(format!("native/{family}"));
        for (count, length) in SIZES {
            let texts = texts(count, length);
            let messages = messages(&texts);
            let keep = Options::new().with_control_tokens(ControlTokens::Keep);
            let neutralise = Options::new().with_control_tokens(ControlTokens::Neutralise);
            let prompt = family.render(&messages, &keep).unwrap();
            let pieces = pieces(&prompt, &texts);
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
    use minijinja::value::Serde;
    use minijinja::{Environment, context};
    use prompt_templates::ChatTemplate;

    /// What a caller of minijinja would serialize.
    #[derive(serde::Serialize)]
    struct Bare<'m> {
        role: &'m str,
        content: &'m str,
    }

    for (name, source) in [
        (
            "chatml",
            include_str!("../../../fixtures/prompt-templates/reference/chatml.jinja"),
        ),
        (
            "llama-3",
            include_str!("../../../fixtures/prompt-templates/reference/llama-3.jinja"),
        ),
        (
            "llama-2",
            include_str!("../../../fixtures/prompt-templates/reference/llama-2.jinja"),
        ),
    ] {
        let ours = ChatTemplate::compile(name, source)
            .unwrap()
            .with_bos_token("<s>")
            .with_eos_token("</s>");
        let mut env = Environment::new();
        let syntax = minijinja::syntax::SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .unwrap();
        env.set_syntax(syntax);
        env.add_function("raise_exception", |_message: String| "");
        env.set_unknown_method_callback(|_state, value, method, _args| match method {
            "strip" => Ok(value.as_str().unwrap_or_default().trim().into()),
            _ => Err(minijinja::ErrorKind::UnknownMethod.into()),
        });
        env.add_template(name, source).unwrap();
        let template = env.get_template(name).unwrap();
        let mut group = c.benchmark_group(format!("jinja/{name}"));
        for (count, length) in SIZES {
            let texts = texts(count, length);
            let messages = messages(&texts);
            let bare: Vec<Bare<'_>> = messages
                .iter()
                .zip(&texts)
                .map(|(message, content)| Bare {
                    role: message.role.as_str(),
                    content,
                })
                .collect();
            let size = format!("{count}x{length}");
            let mut bytes = Vec::new();
            group.bench_function(BenchmarkId::new("minijinja", &size), |b| {
                b.iter(|| {
                    bytes.clear();
                    let context = context! {
                        messages => minijinja::Value::from(Serde(black_box(&bare))),
                        tools => (),
                        documents => (),
                        add_generation_prompt => true,
                        bos_token => "<s>",
                        eos_token => "</s>",
                    };
                    template.render_captured_to(context, &mut bytes).unwrap();
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
                        ours.render_into(&mut out, black_box(&messages), options)
                            .unwrap();
                        black_box(&out).len()
                    });
                });
            }
            assert_eq!(out.as_bytes(), bytes, "{name} {size}");
        }
        group.finish();
    }
}

#[cfg(not(feature = "jinja"))]
fn jinja(_: &mut Criterion) {}

/// Prose of the given length, with a list in it as chats have it.
fn texts(count: usize, length: usize) -> Vec<String> {
    let words = "The quick brown fox, as they say, jumps over the lazy dog and runs on. Had it \
                 known what was to come, it would have stayed at home (or so they tell it), where \
                 its children waited with the supper: a bowl of soup, some bread & butter. \
                 \n\n- first, the soup\n- then, the bread\n\nBut who knows? ";
    let text = |index: usize| {
        words
            .chars()
            .cycle()
            .skip(index)
            .take(length - 1)
            .chain(['.'])
    };
    (0..count).map(|index| text(index).collect()).collect()
}

/// A system message, then user and assistant in turn, the user last.
fn messages(texts: &[String]) -> Vec<Message<'_>> {
    let mut messages = vec![Message::system(&texts[0])];
    for (index, text) in texts.iter().enumerate().skip(1) {
        let from_end = texts.len() - 1 - index;
        messages.push(match from_end % 2 {
            0 => Message::user(text),
            _ => Message::assistant(text),
        });
    }
    if texts.len() % 2 == 1 {
        // The turns begin with the user, so an odd number has no place for a system message.
        messages[0] = Message::user(&texts[0]);
    }
    messages
}

/// The prompt in the pieces that it is made of: what stands before each content, the content, and
/// what stands after it.
fn pieces<'p>(prompt: &'p str, texts: &[String]) -> Vec<&'p str> {
    const AFTER: [&str; 5] = ["<|im_end|>\n", "<|eot_id|>", " [/INST]", " </s>", "</s>"];
    let mut pieces = Vec::new();
    let mut rest = prompt;
    for text in texts {
        let at = rest.find(text.trim()).unwrap();
        let (between, tail) = rest.split_at(at);
        let after = AFTER.iter().find(|after| between.starts_with(**after));
        let (after, before) = between.split_at(after.map_or(0, |after| after.len()));
        let (content, tail) = tail.split_at(text.trim().len());
        pieces.extend(
            [after, before, content]
                .into_iter()
                .filter(|piece| !piece.is_empty()),
        );
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

criterion_group!(benches, native, jinja);
criterion_main!(benches);
