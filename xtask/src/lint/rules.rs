//! The rules: one for each kind of mistake that a text search can find.

/// A text that must not be in the sources, and the files for which this holds.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) files: Files,
    /// Beginnings of paths.
    pub(super) paths: &'static [&'static str],
    /// Beginnings of paths that are exempt.
    pub(super) except: &'static [&'static str],
    pub(super) scope: Scope,
    /// Any of these is a finding.
    pub(super) words: &'static [&'static str],
    /// Any of these in the scope allows the text.
    pub(super) unless: &'static [&'static str],
    pub(super) why: &'static str,
    pub(super) exceptions: &'static [Exception],
}

/// Where the words are searched for.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    /// Everywhere; `unless` applies to the same line.
    Line,
    /// Everywhere; `unless` applies to the same function.
    Function,
    /// In async functions and blocks, but not in closures that are sent to a blocking thread.
    Async,
    /// In the fields of a call of `tracing`.
    Logging,
    /// In functions with the attribute `#[test]` or the like, but not in closures and async blocks.
    Test,
}

/// The files in which words are searched for. Examples and benches are never checked.
#[derive(Clone, Copy)]
pub(super) enum Files {
    /// Sources of libraries and programs, without their tests.
    Sources,
    /// Files of tests.
    Tests,
}

/// A place where the text of a rule is correct.
pub(super) struct Exception {
    pub(super) path: &'static str,
    /// A part of the line; empty for every line of the file.
    pub(super) line: &'static str,
    pub(super) reason: &'static str,
}

impl Rule {
    /// Whether the rule applies to a file.
    pub(super) fn is_for(&self, path: &str) -> bool {
        let begins = |with: &[&str]| with.iter().any(|start| path.starts_with(start));
        let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
        let is_kind = match self.files {
            Files::Sources => path.contains("/src/") && !is_test,
            Files::Tests => is_test,
        };
        path.ends_with(".rs") && is_kind && begins(self.paths) && !begins(self.except)
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
        files: Files::Sources,
        paths: &[
            "crates/llm-gateway/src/",
            "crates/llm-http/src/",
            "crates/llm-provider/src/",
            "crates/llm-router/src/",
            "crates/provider-",
            "crates/replicate-api/src/",
        ],
        // The config file, which also names the series of metrics, is written by the operator, not by a
        // client; the conformance suite quotes into test reports.
        except: &[
            "crates/llm-gateway/src/config/",
            "crates/provider-conformance/",
            "crates/llm-gateway/src/metrics/series.rs",
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
                path: "crates/llm-provider/src/spec/setting.rs",
                line: "",
                reason: "a table of the settings that a provider declares in its source",
            },
            Exception {
                path: "crates/llm-provider/src/error/show.rs",
                line: "self.0",
                reason: "the text was shortened when the value was built",
            },
            Exception {
                path: "crates/llm-router/src/deployment/mod.rs",
                line: "id: format!",
                reason: "the id of a deployment, from the operator's config",
            },
        ],
    },
    Rule {
        name: "raw-terminal-text",
        files: Files::Sources,
        paths: &["crates/polyllm-cli/src/"],
        // This file escapes text for terminals.
        except: &["crates/polyllm-cli/src/output.rs"],
        scope: Scope::Line,
        words: &["stdout()", "stderr()", "println!", "print!("],
        unless: &["is_terminal"],
        why: "text that may come from an upstream is printed without escaping: use crate::output",
        exceptions: &[],
    },
    Rule {
        name: "raw-log-text",
        files: Files::Sources,
        paths: &["crates/"],
        except: &[],
        scope: Scope::Logging,
        // `Display` is not escaped; `Debug` and plain strings are.
        words: &["%"],
        unless: &[
            "%error",
            "%address",
            "%listener",
            "%peer",
            "excerpt(",
            "printable(",
        ],
        why: "`%` writes text into the log without escaping: leave it out or use `?`",
        exceptions: &[Exception {
            path: "crates/llm-gateway/src/error.rs",
            line: "error = %text",
            reason: "the text was escaped and shortened for the log",
        }],
    },
    Rule {
        name: "wrapping-attempts",
        files: Files::Sources,
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
        why: "overflows for the largest number that a config can have: use saturating_add",
        exceptions: &[],
    },
    Rule {
        name: "blocking-in-async",
        files: Files::Sources,
        paths: &["crates/"],
        // A benchmark reads its files before or after the load.
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
        why: "blocks a thread of the runtime: use spawn_blocking, or call it before the async code",
        exceptions: &[],
    },
    Rule {
        name: "exposed-secret",
        files: Files::Sources,
        paths: &["crates/"],
        except: &["crates/llm-provider/src/key.rs"],
        scope: Scope::Line,
        words: &[".expose()"],
        unless: &[],
        why: "a key leaves its wrapper: use ApiKey::bearer, or add an exception with its reason",
        exceptions: &[
            Exception {
                path: "crates/gateway-store/src/keys/secret.rs",
                line: "secret.expose()",
                reason: "checks a new key, and takes its last characters as its name",
            },
            Exception {
                path: "crates/gateway-store/src/keys/queries.rs",
                line: "KeyHash::of(secret.expose())",
                reason: "hashes a key in order to store it",
            },
            Exception {
                path: "crates/llm-gateway/src/auth.rs",
                line: "given.ct_eq(master_key.expose()",
                reason: "compares a client's key in constant time",
            },
            Exception {
                path: "crates/llm-gateway/src/ui/sessions.rs",
                line: "is_equal(a.expose(), b.expose())",
                reason: "compares the key of a login in constant time",
            },
            Exception {
                path: "crates/llm-http/src/authentication.rs",
                line: "key.expose()",
                reason: "sends the key in the query, and lists it for redaction",
            },
            Exception {
                path: "crates/llm-gateway/src/routes/keys/answer.rs",
                line: "secret.expose()",
                reason: "shows a new key to the operator, once",
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
        files: Files::Sources,
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
    Rule {
        name: "skipped-test",
        files: Files::Tests,
        paths: &["crates/"],
        except: &[],
        scope: Scope::Test,
        words: &["return;", "return }", "return Ok(())"],
        unless: &[],
        why: "a test that returns early passes: give it #[ignore] with the reason",
        exceptions: &[],
    },
    Rule {
        name: "partial-request",
        files: Files::Tests,
        paths: &["crates/"],
        except: &[],
        scope: Scope::Function,
        words: &[
            ".read(&mut request",
            ".read(&mut buffer",
            ".read(&mut bytes",
        ],
        unless: &["while ", "loop {"],
        why: "one read may return a part of a request: read until its end",
        exceptions: &[],
    },
    Rule {
        name: "kept-connection",
        files: Files::Tests,
        paths: &["crates/"],
        except: &[],
        scope: Scope::Function,
        words: &[
            "\"HTTP/1.1 1",
            "\"HTTP/1.1 2",
            "\"HTTP/1.1 3",
            "\"HTTP/1.1 4",
            "\"HTTP/1.1 5",
            "\"HTTP/1.1 {",
        ],
        unless: &["connection: close", "starts_with("],
        why: "a client sends its next request on a connection that this server closes: add \
              `connection: close`",
        exceptions: &[
            Exception {
                path: "crates/polyllm-cli/tests/bench_tokenizer.rs",
                line: "text/event-stream",
                reason: "the server answers every request of a connection",
            },
            Exception {
                path: "crates/provider-openai/tests/support/mod.rs",
                line: "HTTP/1.1 {status}",
                reason: "the server adds `connection: close` when it sends the head",
            },
        ],
    },
    Rule {
        name: "wall-clock",
        files: Files::Tests,
        paths: &["crates/"],
        except: &[],
        scope: Scope::Line,
        words: &[
            "std::time::Instant",
            "time::{Duration, Instant}",
            "SystemTime",
        ],
        unless: &["tokio::time"],
        why: "a slow machine fails a test of times: pause tokio's clock, or compare ratios",
        exceptions: &[],
    },
];

/// The functions that make external text safe to quote, of `llm_provider::text`.
const SAFE: &[&str] = &["excerpt", "printable"];
