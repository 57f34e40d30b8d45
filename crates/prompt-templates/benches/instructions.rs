//! The work whose instructions `cargo xtask bench prompt-templates` counts: 20 messages of 400 bytes,
//! rendered with control tokens neutralised.
//!
//! Without arguments, it prints the name of each case. With a name and a number, it renders so many
//! prompts.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark may panic"
)]

mod common;

use std::hint::black_box;

use prompt_templates::{ChatTemplate, ControlTokens, Family, Options};

use common::{SIZES, bare};

fn main() {
    // `cargo bench` adds options of its own.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let [name, passes] = &args[..] else {
        for (name, _) in bare::TEMPLATES {
            println!("{FAMILY}{name}\t1\n{TEMPLATE}{name}\t1");
        }
        return;
    };
    let passes = passes.parse().unwrap();
    match name.strip_prefix(FAMILY) {
        Some(name) => render_family(name, passes),
        None => render_template(name.strip_prefix(TEMPLATE).unwrap(), passes),
    }
}

fn render_family(name: &str, passes: u32) {
    let family = Family::from_name(name).unwrap();
    render(passes, |messages, out| {
        family.render_into(out, messages, &options()).unwrap();
    });
}

fn render_template(name: &str, passes: u32) {
    let family = Family::from_name(name).unwrap();
    let mut sources = bare::TEMPLATES.iter();
    let (_, source) = sources.find(|(of, _)| *of == name).unwrap();
    let template = ChatTemplate::compile(name, source)
        .unwrap()
        .with_bos_token(family.bos())
        .with_eos_token(family.eos());
    render(passes, |messages, out| {
        template.render_into(out, messages, &options()).unwrap();
    });
}

fn render(passes: u32, mut render: impl FnMut(&[prompt_templates::Message<'_>], &mut String)) {
    let (count, length) = SIZES[1];
    let texts = common::texts(count, length);
    let messages = common::messages(&texts);
    let mut out = String::with_capacity(4 * count * length);
    for _ in 0..passes {
        out.clear();
        render(black_box(&messages), &mut out);
        black_box(&out);
    }
}

fn options() -> Options {
    Options::new()
        .with_bos(true)
        .with_control_tokens(ControlTokens::Neutralise)
}

const FAMILY: &str = "family ";
const TEMPLATE: &str = "chat template ";
