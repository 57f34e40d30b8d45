//! Names that source files must not contain, found by a search in each line.

use super::Violation;
use super::dependencies::provider;
use super::facts::{Facts, File};

/// The only places, except tests, that may open listening sockets.
const SERVERS: &[&str] = &[
    "crates/llm-bench/",
    "crates/llm-gateway/",
    "crates/llm-sim/",
    "crates/polyllm-cli/",
    "crates/provider-conformance/",
];

const LISTENING: &[&str] = &["TcpListener", "UdpSocket", "UnixListener", "UnixDatagram"];

/// The only places that may read the environment at run time.
const READERS: &[&str] = &[
    "crates/llm-bench/src/",
    "crates/llm-gateway/src/config",
    "crates/llm-http/src/client/connect.rs", // the variables of proxies
    "crates/llm-provider/src/key.rs",
    "crates/llm-provider/src/settings.rs",
    "crates/polyllm-cli/src/",
    "crates/polyllm-python/src/accounts.rs", // at the time of a call
];

const READING: &[&str] = &["env::var", "env::{"];

/// The router and the gateway get providers and their declarations from a registry.
pub(super) fn router_and_gateway_name_no_provider(facts: &Facts) -> Vec<Violation> {
    let names = facts
        .packages
        .iter()
        .filter_map(|package| provider(&package.name));
    // The name of a crate, the start of a string, or the prefix of a model name. Not the word alone:
    // deployments work *together*, and OpenAI is also the API that is served.
    let forms = names.flat_map(|name| {
        let forms: &[&str] = match name {
            "openai" => &["provider-NAME", "provider_NAME", "NAME/"],
            _ => &[
                "provider-NAME",
                "provider_NAME",
                "\"NAME",
                "`NAME",
                "NAME/",
                "NAME_",
            ],
        };
        forms.iter().map(move |form| form.replace("NAME", name))
    });
    let forms: Vec<_> = forms.collect();
    let files = facts.files.iter().filter(|file| {
        ["crates/llm-router/src/", "crates/llm-gateway/src/"]
            .iter()
            .any(|folder| file.path.starts_with(folder))
    });
    files
        .flat_map(|file| {
            let found = named(file.text.lines(), &forms);
            // The gateway serves OpenAI's API, and LiteLLM's keys name it.
            let is_api = |form: &str| form.contains("openai") && file.path.contains("llm-gateway");
            let found = found.filter(move |(_, form)| !is_api(form));
            found.map(|(line, form)| {
                let fix = format!(
                    "names a provider, {form:?}: use the trait Provider, or what it declares"
                );
                Violation::new(format!("{}:{line}", file.path), fix)
            })
        })
        .collect()
}

pub(super) fn provider_names_no_router(facts: &Facts) -> Vec<Violation> {
    let files = facts.files.iter().filter(|file| {
        let place = file
            .path
            .strip_prefix("crates/provider-")
            .and_then(|rest| rest.split_once('/'));
        place.is_some_and(|(_, inside)| inside.starts_with("src/"))
    });
    let names = ["llm_router".to_owned(), "llm-router".to_owned()];
    files
        .flat_map(|file| {
            named(file.text.lines(), &names).map(|(line, _)| {
                let fix = "names the router: a provider must not depend on its caller";
                Violation::new(format!("{}:{line}", file.path), fix)
            })
        })
        .collect()
}

pub(super) fn sockets(facts: &Facts) -> Vec<Violation> {
    let fix = "opens a listening socket: only llm-gateway, llm-bench, llm-sim and the CLI may";
    outside(facts, SERVERS, LISTENING, fix)
}

pub(super) fn environment(facts: &Facts) -> Vec<Violation> {
    let fix = "reads the environment: use ApiKey and Settings of llm-provider, or let the \
                caller pass the value";
    outside(facts, READERS, READING, fix)
}

/// The lines outside of `places` whose code contains one of `words`.
fn outside(facts: &Facts, places: &[&str], words: &[&str], fix: &str) -> Vec<Violation> {
    let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
    let files = facts.files.iter().filter(|file| {
        is_library_source(file) && !places.iter().any(|place| file.path.starts_with(place))
    });
    files
        .flat_map(|file| {
            named(code(&file.text).into_iter(), &words)
                .map(|(line, word)| {
                    Violation::new(format!("{}:{line}", file.path), format!("{word} {fix}"))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn is_library_source(file: &File) -> bool {
    let inside = file
        .path
        .strip_prefix("crates/")
        .and_then(|path| path.split_once('/'));
    inside.is_some_and(|(_, path)| {
        path.starts_with("src/") && path.ends_with(".rs") && !path.ends_with("/tests.rs")
    })
}

/// The lines with one of `words`, numbered from 1.
fn named<'a>(
    lines: impl Iterator<Item = &'a str>,
    words: &[String],
) -> impl Iterator<Item = (usize, &String)> {
    lines.enumerate().filter_map(|(at, line)| {
        words
            .iter()
            .find(|word| line.contains(word.as_str()))
            .map(|word| (at + 1, word))
    })
}

/// The lines of a source file, with comments and test code replaced by empty lines.
pub(crate) fn code(text: &str) -> Vec<&str> {
    let mut test_item = None;
    let blanked = text.lines().map(|line| {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        if let Some(of_item) = test_item {
            if indent == of_item && body.ends_with(['}', ';']) {
                test_item = None;
            }
            return "";
        }
        if body == "#[cfg(test)]" {
            test_item = Some(indent);
            return "";
        }
        if body.starts_with("//") { "" } else { line }
    });
    blanked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&Facts) -> Vec<Violation>, files: &[(&str, &str)], expected: &[&str]) {
        let facts = Facts::sample(
            &[("provider-replicate", &[]), ("provider-together", &[])],
            files,
        );
        let places: Vec<_> = rule(&facts)
            .into_iter()
            .map(|violation| violation.at)
            .collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn a_provider_named_in_router_or_gateway_is_a_violation() {
        let text = "// deployments that work together, and replicas\n\
                    use provider_together::Together;\n\
                    if name.starts_with(\"replicate\") {}\n\
                    /// `together_ai/x`\n";
        check(
            router_and_gateway_name_no_provider,
            &[
                ("crates/llm-router/src/a.rs", text),
                (
                    "crates/llm-gateway/src/a.rs",
                    "const KEY: &str = \"replicate_weights\";\n",
                ),
                ("crates/llm-gateway/tests/a.rs", text),
            ],
            &[
                "crates/llm-router/src/a.rs:2",
                "crates/llm-router/src/a.rs:3",
                "crates/llm-router/src/a.rs:4",
                "crates/llm-gateway/src/a.rs:1",
            ],
        );
    }

    #[test]
    fn a_router_named_in_a_provider_is_a_violation() {
        let text = "use llm_router::Router;\n";
        check(
            provider_names_no_router,
            &[
                ("crates/provider-together/src/lib.rs", text),
                ("crates/provider-together/tests/chat.rs", text),
                ("crates/polyllm/src/lib.rs", text),
            ],
            &["crates/provider-together/src/lib.rs:1"],
        );
    }

    #[test]
    fn a_socket_outside_of_the_servers_is_a_violation() {
        let text = "// a TcpListener is a TcpListener\nlet a = TcpListener::bind(b);\n";
        check(
            sockets,
            &[
                ("crates/llm-gateway/src/lib.rs", text),
                ("crates/llm-http/src/send.rs", text),
                ("crates/llm-http/tests/http.rs", text),
            ],
            &["crates/llm-http/src/send.rs:2"],
        );
    }

    #[test]
    fn reading_the_environment_elsewhere_is_a_violation() {
        let text = "let key = std::env::var(\"KEY\");\n";
        check(
            environment,
            &[
                ("crates/llm-gateway/src/config/value.rs", text),
                ("crates/llm-provider/src/key.rs", text),
                ("crates/llm-router/src/lib.rs", text),
                ("crates/llm-gateway/src/server.rs", text),
            ],
            &[
                "crates/llm-router/src/lib.rs:1",
                "crates/llm-gateway/src/server.rs:1",
            ],
        );
    }

    #[test]
    fn comments_and_tests_are_left_out() {
        let text = "a\n  // b\n#[cfg(test)]\nmod tests {\n    c {\n    }\n}\nd\n\
                    #[cfg(test)]\nmod more;\ne\n    #[cfg(test)]\n    fn f() {\n        g\n    }\nh\n";
        let left: Vec<_> = code(text)
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(left, ["a", "d", "e", "h"]);
    }
}
