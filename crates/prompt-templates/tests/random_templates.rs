//! Templates of random, type-correct tags: each ends, stays within its limits, and renders. The
//! stack is that of a thread.
#![cfg(feature = "jinja")]

use allocation_counter::measure;
use prompt_templates::{ChatTemplate, Context, ErrorKind, RenderLimits};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

const OUTPUT: usize = 32 << 10;
const MEMORY: usize = 512 << 10;
/// The values, buffers that double when they grow, a few words for each instruction, and the
/// compiled source.
const PEAK: u64 = 16 << 20;

// In these patterns T is a text expression, L a list, N a small number, B any expression as a
// condition, and S are statements.
const TEXTS: &[&str] = &[
    "T + T",
    "T ~ T ~ L",
    "T * N",
    "T[N:]",
    "T[::-1]",
    "T | upper",
    "T.title()",
    "T | escape",
    "T.replace('a', T)",
    "T | replace('', T)",
    "T.join([T, T])",
    "L | join(T)",
    "L | string",
    "L | tojson",
    "L | tojson(indent=N)",
    "[T] | tojson(indent=T)",
    "T | tojson",
    "[T, L] | pprint",
    "'%s-%5s' | format(T, L)",
    "'{0}{0}{1:>9}'.format(T, T)",
    "T.center(N * 99)",
    "T | indent(N)",
    "T.strip('a')",
    "T | trim",
    "[T, T] | sum(start='')",
    "T if B else T",
    "[T, T] | max",
    "T | default(T)",
    "(T, T)[N % 2]",
    "{'a': T}['a']",
    "{T: T} | tojson",
    "T.partition('a') | string",
    "f(T, L)",
    "L | list | first | string",
    "T | list | join",
];
const LISTS: &[&str] = &[
    "L + L",
    "L * N",
    "[T, L]",
    "[L]",
    "[L, L]",
    "[{'a': L, 'b': T}]",
    "L[N:]",
    "L[::-1]",
    "L | list",
    "T | list",
    "T.split('a')",
    "T | split('b') | list",
    "L | reverse | list",
    "L | map('string') | list",
    "L | map('map', 'string') | map('list') | list",
    "L | batch(2, L) | list",
    "L | slice(3, T) | list",
    "L | zip(L) | list",
    "L | chain(L) | list",
    "L | select | list",
    "L | reject('eq', L) | list",
    "L | unique | list",
    "L | sort",
    "[L, L] | sum(start=[])",
    "{'a': L, 'b': T}.items() | list",
    "dict(a=L).values() | list",
    "{'a': L} | dictsort",
    "[{'k': T, 'v': L}] | groupby('k') | list",
    "L if B else L",
    "T.splitlines()",
    "range(50) | list",
    "(L, T) | list",
    "L | default(L)",
];
const CONDITIONS: &[&str] = &[
    "T == T",
    "L == L",
    "L != L",
    "T < T",
    "T <= T < T",
    "L < L",
    "T in T",
    "T in L",
    "L not in L",
    "L is eq(L)",
    "T is lower",
    "T.startswith(T)",
    "T.find(T) > N",
    "T.count(T)",
    "L.count(L)",
    "T is sameas(T)",
    "L | length > N",
    "T | length",
    "not B",
    "B and B",
    "B or B",
    "T | int",
];
const STATEMENTS: &[&str] = &[
    "{{ T }}",
    "{{ L }}",
    "{% set ns.t = T %}",
    "{% set ns.l = L %}",
    "{% set t, l = T, L %}S",
    "{% set t %}SS{% endset %}S",
    "{% set ns.t %}SS{% endset %}",
    "{% set ns.t | upper %}S{% endset %}",
    "{% for n in range(90) %}SS{% endfor %}",
    "{% for n in range(90) %}{% for n in range(90) %}SS{% endfor %}{% endfor %}",
    "{% for i in L %}SS{% endfor %}",
    "{% for i in L if B %}S{% else %}S{% endfor %}",
    "{% for i in L recursive %}S{{ loop(L) }}{% endfor %}",
    "{% if B %}SS{% elif B %}S{% else %}S{% endif %}",
    "{% macro g(t, l) %}S{% set u = g(T, L) %}{% endmacro %}{{ g(T, L) }}",
    "{% macro h() %}{{ caller(T) }}{% endmacro %}{% call(t) h() %}S{% endcall %}",
    "{% filter upper %}SS{% endfilter %}",
    "{% with t = T, l = L %}SS{% endwith %}",
    "some text that is longer than what is left uncounted, so that it is counted too\n",
];

/// Replaces each placeholder letter.
fn filled(pattern: &str, letter: char, mut next: impl FnMut() -> String) -> String {
    let mut out = String::new();
    let mut last = ' ';
    for c in pattern.chars() {
        // Not inside a word.
        if c == letter && !last.is_alphanumeric() && last != '\'' {
            out.push_str(&next());
        } else {
            out.push(c);
        }
        // Statements may follow each other.
        last = if letter == 'S' { ' ' } else { c };
    }
    out
}

/// Chooses patterns by the numbers of a test case.
struct Chooser<'n>(std::slice::Iter<'n, usize>);

impl Chooser<'_> {
    fn choose<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.0.next().map_or(0, |number| number % from.len())]
    }

    fn expression(&mut self, patterns: &[&str], atoms: &[&str], depth: usize) -> String {
        if depth == 0 || self.0.as_slice().is_empty() {
            return self.choose(atoms).to_owned();
        }
        let pattern = self.choose(patterns);
        format!("({})", self.fill(pattern, depth - 1))
    }

    fn fill(&mut self, pattern: &str, depth: usize) -> String {
        let text = filled(pattern, 'B', || {
            self.expression(CONDITIONS, &["true"], depth.min(1))
        });
        let text = filled(&text, 'T', || {
            self.expression(TEXTS, &["ns.t", "t", "text", "'ab&'", "ns.t"], depth)
        });
        let text = filled(&text, 'L', || {
            self.expression(LISTS, &["ns.l", "l", "numbers", "[1]", "ns.l"], depth)
        });
        filled(&text, 'N', || self.choose(&["1", "2", "3", "7"]).to_owned())
    }

    fn statement(&mut self, depth: usize) -> String {
        let pattern = match depth {
            0 => self.choose(&STATEMENTS[..4]),
            _ => self.choose(STATEMENTS),
        };
        let pattern = self.fill(pattern, 2);
        filled(&pattern, 'S', || self.statement(depth.saturating_sub(1)))
    }
}

/// A template that consists mostly of loops.
fn template(choices: &[usize]) -> String {
    let mut chooser = Chooser(choices.iter());
    let mut source = String::from(
        "{% set ns = namespace(t='ab', l=[1]) %}{% set t, l = 'ab', [1] %}\
         {% macro f(t, l) %}{{ t }}{{ l | length }}{% endmacro %}{% for n in range(60) %}",
    );
    while !chooser.0.as_slice().is_empty() {
        source += &chooser.statement(3);
    }
    source + "{% endfor %}"
}

proptest! {
    #[test]
    fn whatever_a_template_does_it_stays_within_its_limits(
        choices in vec(any::<usize>(), 1..40),
        fuel in select(&[500_u64, 20_000][..]),
    ) {
        let source = template(&choices);
        let mut limits = RenderLimits::default();
        limits.fuel = fuel;
        limits.output = OUTPUT;
        limits.memory = MEMORY;
        let context = Context::new(json!([{"role": "user", "content": "x"}]))
            .with_variable("text", "ab&'\\\n".repeat(200))
            .with_variable("numbers", (0..200).collect::<Vec<_>>());
        let mut result = None;
        let allocations = measure(|| {
            let template = ChatTemplate::compile_with("test", &source, limits);
            result = Some(template.and_then(|template| template.render_context(&context)));
        });
        prop_assert!(allocations.bytes_max < PEAK, "{allocations:?}: {source}");
        match result {
            Some(Ok(out)) => prop_assert!(out.len() <= OUTPUT),
            // The grammar is Jinja's, so that all of it is covered.
            Some(Err(error)) => prop_assert!(
                error.kind() != ErrorKind::Syntax && !error.to_string().contains("panicked"),
                "{error}: {source}"
            ),
            None => prop_assert!(false),
        }
    }
}
