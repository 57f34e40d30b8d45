//! The work whose instructions `cargo xtask bench prompt-templates` counts: conversations, rendered
//! with control tokens neutralised.
//!
//! Without arguments, it prints the name of each case. With a name and a number, it renders so many
//! prompts.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark may panic"
)]

mod common;

use std::fmt;
use std::hint::black_box;

use prompt_templates::{ChatTemplate, ControlTokens, Family, Options};

use common::{SIZES, bare};

fn main() {
    // `cargo bench` adds options.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let [name, passes] = &args[..] else {
        for case in cases() {
            println!("{case}\t1");
        }
        return;
    };
    let case = cases().find(|case| case.to_string() == *name).unwrap();
    case.render(passes.parse().unwrap());
}

/// A template, and the number and length of the messages.
struct Case {
    name: &'static str,
    source: &'static str,
    is_family: bool,
    size: (usize, usize),
}

fn cases() -> impl Iterator<Item = Case> {
    let templates = bare::TEMPLATES.into_iter();
    templates.flat_map(|(name, source)| {
        [true, false].into_iter().flat_map(move |is_family| {
            SIZES.into_iter().map(move |size| Case {
                name,
                source,
                is_family,
                size,
            })
        })
    })
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_family {
            "family"
        } else {
            "chat template"
        };
        let (count, length) = self.size;
        write!(f, "{kind} {} {count} x {length} B", self.name)
    }
}

impl Case {
    fn render(&self, passes: u32) {
        let (count, length) = self.size;
        let texts = common::texts(count, length);
        let messages = common::messages(&texts);
        let family = Family::from_name(self.name).unwrap();
        let template = ChatTemplate::compile(self.name, self.source)
            .unwrap()
            .with_bos_token(family.bos())
            .with_eos_token(family.eos());
        let options = options();
        let mut out = String::with_capacity(4 * count * length);
        for _ in 0..passes {
            out.clear();
            let messages = black_box(&messages);
            if self.is_family {
                family.render_into(&mut out, messages, &options).unwrap();
            } else {
                template.render_into(&mut out, messages, &options).unwrap();
            }
            black_box(&out);
        }
    }
}

fn options() -> Options {
    Options::new()
        .with_bos(true)
        .with_control_tokens(ControlTokens::Neutralise)
}
