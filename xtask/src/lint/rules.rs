//! The rules. One is added for each class of fault that a search can find.

/// What must not be in the sources, and where.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Beginnings of paths.
    pub(super) paths: &'static [&'static str],
    /// Beginnings of paths that are exempt.
    pub(super) except: &'static [&'static str],
    pub(super) scope: Scope,
    /// Any of these is a finding.
    pub(super) words: &'static [&'static str],
    /// In the scope, these make it right.
    pub(super) unless: &'static [&'static str],
    pub(super) why: &'static str,
    pub(super) exceptions: &'static [Exception],
}

/// Where the words count.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    /// Everywhere; `unless` is looked for in the same line.
    Line,
    /// Everywhere; `unless` is looked for in the same function.
    Function,
    /// In async functions and blocks, but not in closures that are sent to a blocking thread.
    Async,
    /// In the fields of a call of `tracing`.
    Logging,
}

/// A place that breaks a rule and is right all the same.
pub(super) struct Exception {
    pub(super) path: &'static str,
    /// A part of the line; empty for every line of the file.
    pub(super) line: &'static str,
    pub(super) reason: &'static str,
}

impl Rule {
    /// Library and program sources only: tests, examples and benches may do as they like.
    pub(super) fn is_for(&self, path: &str) -> bool {
        let begins = |with: &[&str]| with.iter().any(|start| path.starts_with(start));
        path.ends_with(".rs")
            && path.contains("/src/")
            && !path.ends_with("/tests.rs")
            && begins(self.paths)
            && !begins(self.except)
    }
}

impl Exception {
    pub(super) fn covers(&self, path: &str, line: &str) -> bool {
        path == self.path && line.contains(self.line)
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "quoted-input",
        paths: &[
            "crates/llm-gateway/src/",
            "crates/llm-http/src/",
            "crates/llm-provider/src/",
            "crates/llm-router/src/",
            "crates/provider-",
            "crates/replicate-api/src/",
        ],
        // The file of the operator is no input of a client; the suite quotes into test reports.
        except: &[
            "crates/llm-gateway/src/config/",
            "crates/provider-conformance/",
        ],
        scope: Scope::Function,
        words: &["\\\"{", "`{", "{model}", "{model:?}", "{group}", "{target}"],
        unless: SAFE,
        why: "input is quoted without a limit: use llm_provider::text::excerpt",
        exceptions: &[
            Exception {
                path: "crates/llm-provider/src/endpoint/check.rs",
                line: "",
                reason: "paths of members that are checked, and names of JSON types",
            },
            Exception {
                path: "crates/llm-provider/src/error/show.rs",
                line: "self.0",
                reason: "what is shown was made an excerpt when it was built",
            },
            Exception {
                path: "crates/llm-router/src/deployment.rs",
                line: "id: format!",
                reason: "the id of a deployment, from the operator's config",
            },
        ],
    },
    Rule {
        name: "raw-terminal-text",
        paths: &["crates/polyllm-cli/src/"],
        // Whatever goes to a terminal is escaped there.
        except: &["crates/polyllm-cli/src/output.rs"],
        scope: Scope::Line,
        words: &["stdout()", "stderr()", "println!", "print!("],
        unless: &["is_terminal"],
        why: "text that may be an upstream's reaches the terminal unescaped: use crate::output",
        exceptions: &[],
    },
    Rule {
        name: "raw-log-text",
        paths: &["crates/"],
        except: &[],
        scope: Scope::Logging,
        // `Display` is written as it is; `Debug` and plain strings are escaped.
        words: &["%"],
        unless: &[
            "%error",
            "%address",
            "%listener",
            "%peer",
            "excerpt(",
            "printable(",
        ],
        why: "`%` writes text into the log unescaped: record it plainly or with `?`",
        exceptions: &[Exception {
            path: "crates/llm-gateway/src/error.rs",
            line: "error = %text",
            reason: "the text was escaped and cut for the log",
        }],
    },
    Rule {
        name: "wrapping-attempts",
        paths: &["crates/"],
        except: &[],
        scope: Scope::Line,
        words: &[
            "retries + 1",
            "retries() + 1",
            "1 + self.retries",
            "1 + retries",
        ],
        unless: &[],
        why: "wraps at the largest count that a config can hold: use saturating_add",
        exceptions: &[],
    },
    Rule {
        name: "blocking-in-async",
        paths: &["crates/"],
        // Every file of a bench is read before or after the load.
        except: &["crates/polyllm-cli/src/bench/"],
        scope: Scope::Async,
        words: &[
            "fs::read",
            "fs::write",
            "fs::create_dir",
            "fs::metadata",
            "File::open",
            "File::create",
            "thread::sleep",
            "to_socket_addrs",
            "stdin().lock",
            "stdin().read",
            ".blocking_",
            "load_native_certs",
        ],
        unless: &["tokio::fs", "spawn_blocking("],
        why: "blocks a thread of the runtime: use spawn_blocking, or do it before",
        exceptions: &[],
    },
    Rule {
        name: "exposed-secret",
        paths: &["crates/"],
        except: &["crates/llm-provider/src/key.rs"],
        scope: Scope::Line,
        words: &[".expose()"],
        unless: &[],
        why: "a key leaves its wrapper: use ApiKey::bearer, or add an exception with its reason",
        exceptions: &[
            Exception {
                path: "crates/llm-gateway/src/auth.rs",
                line: "same(given, key.expose()",
                reason: "compares a client's key in constant time",
            },
            Exception {
                path: "crates/llm-http/src/connection.rs",
                line: "api_key.expose()",
                reason: "looks for the key in order to redact it",
            },
            Exception {
                path: "crates/polyllm-cli/src/replicate/mod.rs",
                line: "secret.expose()",
                reason: "prints a webhook secret on request",
            },
        ],
    },
    Rule {
        name: "unbounded-queue",
        paths: &["crates/"],
        except: &[],
        scope: Scope::Line,
        words: &["unbounded_channel()", "mpsc::unbounded()"],
        unless: &[],
        why: "grows with what the other side sends: bound it, or add an exception with its reason",
        exceptions: &[Exception {
            path: "crates/llm-bench/src/run/runner.rs",
            line: "mpsc::unbounded_channel()",
            reason: "carries events of the bench itself, and is read while it runs",
        }],
    },
];

/// What makes text of others safe to quote: functions of `llm_provider::text`.
const SAFE: &[&str] = &["excerpt", "printable"];
