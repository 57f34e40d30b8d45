//! Damaged files and arbitrary documents: no panic, every problem has a position inside the file, and
//! no message contains a secret.

use std::fs;
use std::path::PathBuf;

use llm_gateway::{Config, ConfigError, Position, Problem};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::support::registry;

/// No message may contain it, in upper or lower case.
const CANARY: &str = "canary";

/// A file with secrets in all places for one.
const SECRETS: &str = r#"# A file with secrets.
environment_variables:
  OWN_KEY: "Sk-Own-Canary-1"
shared: &shared
  api_key: Sk-Api-Canary-2
  temperature: 0.5
model_list:
  - model_name: llama
    litellm_params:
      <<: *shared
      model: acme/meta/llama
      api_base: "https://example.com/v1"
      extra_headers: {X-Key: Sk-Header-Canary-3, X-Team: os.environ/OWN_KEY}
      headers:
        Authorization: "Bearer Sk-Header-Canary-4"
      roles: {"user": {"pre_message": "U: ", "post_message": "\n"}}
      max_tokens: 20
      timeout: 1.5
      weight: 2
      token: Sk-Token-Canary-5
      extra_body: {password: Sk-Body-Canary-6, deep: [1, 2.5, yes]}
    model_info: {id: one, mode: chat}
  - {model_name: llama, litellm_params: {model: other_ai/a, api_key: os.environ/SECRET, rpm: 3}}
litellm_settings: {drop_params: true, num_retries: 2, callbacks: [langfuse]}
router_settings:
  routing_strategy: simple-shuffle
  redis_password: Sk-Redis-Canary-7
general_settings:
  master_key: Sk-Master-Canary-8
  database_url: sqlite:keys.db
"#;

/// Pieces with a meaning in YAML or for the gateway.
const PIECES: &[&str] = &[
    ": ",
    ":",
    "- ",
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "  ",
    "#",
    "&a ",
    "*a",
    "*shared",
    "<<: *shared",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "? ",
    "!!int ",
    "!!binary ",
    "!x ",
    "%YAML 1.1\n",
    "---\n",
    "...\n",
    "null",
    "~",
    "true",
    "017",
    "1e999",
    ".nan",
    "-",
    "99999999999999999999",
    "os.environ/",
    "os.environ/SECRET",
    "master_key",
    "api_key",
    "general_settings:",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\0",
    "\u{1b}[2J",
    "é",
    "🙂",
    "=",
];

/// Keys of the gateway's config.
const KEYS: &[&str] = &[
    "model_list",
    "model_name",
    "litellm_params",
    "model",
    "api_key",
    "api_base",
    "extra_headers",
    "roles",
    "weight",
    "timeout",
    "max_tokens",
    "extra_body",
    "model_info",
    "mode",
    "litellm_settings",
    "drop_params",
    "num_retries",
    "router_settings",
    "routing_strategy",
    "general_settings",
    "master_key",
    "environment_variables",
    "include",
];

const TEXTS: &[&str] = &[
    "",
    "llama",
    "acme/meta/llama",
    "other_ai/a",
    "/",
    "os.environ/",
    "os.environ/SECRET",
    "https://example.com/v1",
    "http://[::1",
    "*",
];

/// One change of a text, at a random position.
#[derive(Clone, Debug)]
enum Mutation {
    Insert(Index, Index),
    Delete(Index, usize),
    RepeatLine(Index, Index),
    MoveLine(Index, Index),
    DeleteLine(Index),
    Indent(Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<Index>;
    prop_oneof![
        (place(), place()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (place(), 1..12_usize).prop_map(|(at, length)| Mutation::Delete(at, length)),
        (place(), place()).prop_map(|(from, to)| Mutation::RepeatLine(from, to)),
        (place(), place()).prop_map(|(from, to)| Mutation::MoveLine(from, to)),
        place().prop_map(Mutation::DeleteLine),
        (place(), 0..6_usize).prop_map(|(line, spaces)| Mutation::Indent(line, spaces)),
    ]
}

impl Mutation {
    fn apply(&self, text: &str) -> String {
        let chars = || -> Vec<char> { text.chars().collect() };
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        if lines.is_empty() {
            return PIECES[0].to_owned();
        }
        match self {
            Self::Insert(at, piece) => {
                let mut chars = chars();
                let at = at.index(chars.len() + 1);
                chars.splice(at..at, piece.get(PIECES).chars());
                return chars.into_iter().collect();
            }
            Self::Delete(at, length) => {
                let mut chars = chars();
                let at = at.index(chars.len());
                chars.drain(at..(at + length).min(text.chars().count()));
                return chars.into_iter().collect();
            }
            Self::RepeatLine(from, to) => {
                let line = *from.get(&lines);
                lines.insert(to.index(lines.len()), line);
            }
            Self::MoveLine(from, to) => {
                let line = lines.remove(from.index(lines.len()));
                lines.insert(to.index(lines.len() + 1), line);
            }
            Self::DeleteLine(line) => {
                lines.remove(line.index(lines.len()));
            }
            Self::Indent(line, spaces) => {
                let line = line.index(lines.len());
                let indented = " ".repeat(*spaces) + lines[line].trim_start_matches(' ');
                lines[line] = &indented;
                return lines.concat();
            }
        }
        lines.concat()
    }
}

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, &registry(), &|name| {
        (name == "SECRET").then(|| "Sk-Variable-Canary-0".to_owned())
    })
}

/// Whether the position is in the text, or at its end.
fn is_inside(text: &str, at: Position) -> bool {
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    let line = text.split(['\n', '\r']).nth(at.line - 1);
    line.is_some_and(|line| at.column <= line.chars().count() + 1)
}

/// Reads a text and checks its problems.
fn check(text: &str) {
    let (problems, shown): (Vec<Problem>, String) = match read(text) {
        Ok(config) => {
            let shown = format!("{config:?}");
            (config.warnings, shown)
        }
        Err(error) => (error.problems().to_vec(), format!("{error} {error:?}")),
    };
    for problem in &problems {
        let at = problem.at.expect("a place");
        assert!(is_inside(text, at), "{problem} is outside of {text:?}");
        let shown = problem.to_string();
        assert!(shown.len() < 2_000, "{shown}");
        let help = "\n    help: ";
        let control = shown.replacen(help, "", 1).chars().find(|c| c.is_control());
        assert_eq!(control, None, "{shown:?}");
    }
    let shown = shown.to_lowercase();
    assert!(!shown.contains(CANARY), "{shown}\n{text}");
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn a_file_with_secrets_loads_and_shows_none() {
    let config = read(SECRETS).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.deployments.len(), 2);
    check(SECRETS);
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn problems_of_a_damaged_file_are_inside_it_and_show_no_secret(
        mutations in vec(mutation(), 1..8),
    ) {
        let damaged = mutations
            .iter()
            .fold(SECRETS.to_owned(), |text, mutation| mutation.apply(&text));
        check(&damaged);
    }

    #[test]
    fn any_text_ends_in_problems_inside_it(
        pieces in vec(prop_oneof![
            any::<Index>().prop_map(|piece| (*piece.get(PIECES)).to_owned()),
            "[a-z_]{1,8}",
            any::<String>(),
        ], 0..40),
    ) {
        check(&pieces.concat());
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// JSON is YAML: the document has any structure, mostly of keys that the gateway knows.
    #[test]
    fn any_document_ends_in_problems_inside_it(document in document(), pretty: bool) {
        let text = if pretty {
            serde_json::to_string_pretty(&document)
        } else {
            serde_json::to_string(&document)
        };
        check(&text.unwrap());
    }
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(TEXTS).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let key = || prop_oneof![8 => select(KEYS).prop_map(str::to_owned), 1 => any::<String>()];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            3 => vec((key(), inner.clone()), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            1 => vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..200),
        at in any::<Index>(),
    ) {
        let file = scratch();
        let mut damaged = SECRETS.as_bytes().to_vec();
        let at = at.index(damaged.len());
        damaged.splice(at..at, bytes);
        fs::write(&file, &damaged).unwrap();
        let outcome = Config::load(&file, &registry());
        fs::remove_file(&file).unwrap();
        if let Err(error) = outcome {
            let text = String::from_utf8_lossy(&damaged);
            for problem in error.problems() {
                prop_assert!(is_inside(&text, problem.at.unwrap()), "{problem}");
            }
            prop_assert!(!error.to_string().to_lowercase().contains(CANARY), "{error}");
        }
    }
}

fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("llm-gateway-mutations-{}.yaml", std::process::id()))
}
