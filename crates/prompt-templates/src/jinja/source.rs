//! A template's source, made fit for minijinja.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::{Error, ErrorKind};

/// The source, with what minijinja reads otherwise than transformers put in other words:
///
/// - `{% generation %}`, which Jinja has not, becomes `{% with %}`: a scope without effect, as it
///   is in transformers when nobody asks for the assistant's tokens.
/// - What a `for` walks through and what a `set` stores goes through the filters `each` and
///   `stored`, which refuse `none` as Python does, and what grows without end.
/// - `[::-1]` becomes the filter `reversed`, as minijinja 3.0.5 panics on an empty list.
/// - Lines end in `\n`, as Jinja reads them.
///
/// Comments, raw blocks and strings are left alone, and no line moves.
///
/// # Errors
///
/// [`ErrorKind::Limit`] for a source so long or so deep that compiling it might exhaust the stack.
pub(super) fn prepare(source: &str) -> Result<Prepared, Error> {
    if source.len() > MAX_SOURCE {
        return Err(Error::new(ErrorKind::Limit, "the template is too long"));
    }
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let Found {
        mut edits,
        longest_text,
    } = find(&source)?;
    edits.sort_by_key(|edit| edit.at.start);
    let mut out = String::with_capacity(source.len() + 16 * edits.len());
    let mut copied = 0;
    for Edit { at, text } in edits {
        out.push_str(&source[copied..at.start]);
        out.push_str(text);
        copied = at.end;
    }
    out.push_str(&source[copied..]);
    Ok(Prepared {
        source: out,
        longest_text,
    })
}

/// A source that minijinja reads as transformers reads the original.
pub(super) struct Prepared {
    pub(super) source: String,
    /// The length of the longest text between two tags, which one instruction may write.
    pub(super) longest_text: usize,
}

/// Other words for a piece of the source.
struct Edit {
    at: Range<usize>,
    text: &'static str,
}

struct Found {
    edits: Vec<Edit>,
    longest_text: usize,
}

fn find(source: &str) -> Result<Found, Error> {
    let mut edits = Vec::new();
    let mut longest_text = 0;
    let mut text_start = 0;
    let mut branches = 0_usize;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = source[at..].find('{') {
        let open = at + found;
        let close = match source.as_bytes().get(open + 1) {
            Some(b'#') => {
                at = source[open..]
                    .find("#}")
                    .map_or(source.len(), |end| open + end + 2);
                continue;
            }
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => {
                at = open + 1;
                continue;
            }
        };
        longest_text = longest_text.max(open - text_start);
        let (tokens, end) = tokens(source, open + 2, close);
        let name = match tokens.first() {
            Some(token) if close == "%}" => &source[token.clone()],
            _ => "",
        };
        match name {
            "elif" => branches += 1,
            "call" | "filter" | "for" | "generation" | "if" | "macro" | "with" => depth += 1,
            name if name.starts_with("end") => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_complex = tokens.len() > MAX_TOKENS || nesting(source, &tokens) > MAX_DEPTH;
        if is_complex || branches > MAX_BRANCHES || depth > MAX_DEPTH {
            let line = source[..open].matches('\n').count() + 1;
            let error = Error::new(ErrorKind::Limit, "the template is too complex");
            return Err(error.at_line(Some(line)));
        }
        tag(source, name, &tokens, &mut edits);
        text_start = end;
        at = if name == "raw" {
            after_raw(source, end)
        } else {
            end
        };
    }
    longest_text = longest_text.max(source.len() - text_start);
    Ok(Found {
        edits,
        longest_text,
    })
}

/// How deep the brackets in a tag are nested.
fn nesting(source: &str, tokens: &[Range<usize>]) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for token in tokens {
        match &source[token.clone()] {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Puts one tag in other words.
fn tag(source: &str, name: &str, tokens: &[Range<usize>], edits: &mut Vec<Edit>) {
    let mut replace = |at: Range<usize>, text| edits.push(Edit { at, text });
    match name {
        "generation" => replace(tokens[0].clone(), "with"),
        "endgeneration" => replace(tokens[0].clone(), "endwith"),
        _ => {}
    }
    let mut depth = 0_usize;
    // The expression that a `for` or `set` takes, as places in the source.
    let mut start = None;
    let mut end = None;
    for token in tokens {
        match &source[token.clone()] {
            // Not the list `[::-1]`, which is no expression.
            "[" if source[token.start..].starts_with(REVERSAL) => {
                replace(token.start..token.start + REVERSAL.len(), "|reversed");
                depth += 1;
            }
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "in" if name == "for" && depth == 0 && start.is_none() => start = Some(token.end),
            "=" if name == "set" && depth == 0 && start.is_none() => start = Some(token.end),
            "if" | "recursive" if name == "for" && depth == 0 && start.is_some() => {
                end = end.or(Some(token.start));
            }
            _ => {}
        }
    }
    if let (Some(start), Some(last)) = (start, tokens.last()) {
        let end = end.unwrap_or(last.end);
        replace(start..start, " (");
        replace(
            end..end,
            if name == "for" {
                ")|each "
            } else {
                ")|stored "
            },
        );
    }
}

/// The tokens from `open` up to the tag's `close`, and the place behind it: names and numbers,
/// strings, and single characters for all else.
fn tokens(source: &str, open: usize, close: &str) -> (Vec<Range<usize>>, usize) {
    let bytes = source.as_bytes();
    let mut at = open;
    let mut tokens = Vec::new();
    while let Some(&byte) = bytes.get(at) {
        if source[at..].starts_with(close) {
            // White space control is no token.
            if let Some(b"-" | b"+") = tokens
                .last()
                .map(|last: &Range<usize>| &bytes[last.clone()])
            {
                tokens.pop();
            }
            return (tokens, at + close.len());
        }
        let start = at;
        at = match byte {
            b'\'' | b'"' => after_string(bytes, at),
            _ => {
                let is_word = |c: char| c.is_alphanumeric() || c == '_';
                let rest = &source[at..];
                let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                at + word.max(rest.chars().next().map_or(1, char::len_utf8))
            }
        };
        let is_control = start == open && matches!(byte, b'-' | b'+');
        if !byte.is_ascii_whitespace() && !is_control {
            tokens.push(start..at);
        }
    }
    (tokens, source.len())
}

fn after_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == b'\\' {
            at += 1;
        } else if byte == bytes[open] {
            break;
        }
    }
    at.min(bytes.len())
}

/// The place behind the `{% endraw %}` that follows `at`.
fn after_raw(source: &str, mut at: usize) -> usize {
    while let Some(found) = source[at..].find("{%") {
        let open = at + found + 2;
        let name = source[open..].trim_start_matches(['-', '+']).trim_start();
        if name.starts_with("endraw") {
            return source[open..]
                .find("%}")
                .map_or(source.len(), |end| open + end + 2);
        }
        at = open;
    }
    source.len()
}

const REVERSAL: &str = "[::-1]";
const MAX_SOURCE: usize = 1 << 20;
// Each of these may cost frames of the compiler's stack, which on a thread is two megabytes. The
// published templates have at most 60 tokens in a tag, 20 branches, and a depth of 10.
const MAX_TOKENS: usize = 1_000;
const MAX_BRANCHES: usize = 250;
const MAX_DEPTH: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, wanted: &str) {
        assert_eq!(prepare(source).unwrap().source, wanted);
    }

    #[test]
    fn generation_is_a_scope() {
        check(
            "{%- generation -%}a{%+ endgeneration %}",
            "{%- with -%}a{%+ endwith %}",
        );
        check("{%generation%}{%endgeneration%}", "{%with%}{%endwith%}");
        check(
            "{# {% generation %} #}generation",
            "{# {% generation %} #}generation",
        );
        check(
            "{% raw %}{% generation %}{% endraw %}",
            "{% raw %}{% generation %}{% endraw %}",
        );
        check("{{ '{% generation %}' }}", "{{ '{% generation %}' }}");
        check(
            "{% if '%}{% generation %}' %}",
            "{% if '%}{% generation %}' %}",
        );
    }

    #[test]
    fn loops_and_variables_are_guarded() {
        check("{% for a in b %}", "{% for a in ( b)|each  %}");
        check(
            "{%- for a in b if c -%}",
            "{%- for a in ( b )|each if c -%}",
        );
        check(
            "{% for a,b in c.items() recursive%}",
            "{% for a,b in ( c.items() )|each recursive%}",
        );
        check(
            "{% for a in (b if c else d) %}",
            "{% for a in ( (b if c else d))|each  %}",
        );
        check(
            "{% set a = b if c else d -%}",
            "{% set a = ( b if c else d)|stored  -%}",
        );
        check("{% set a.b=c(d=1) %}", "{% set a.b= (c(d=1))|stored  %}");
        check(
            "{% set a %}{% set b | c(d=1) %}",
            "{% set a %}{% set b | c(d=1) %}",
        );
    }

    #[test]
    fn reversal_is_a_filter() {
        check(
            "{% for a in b[::-1] %}",
            "{% for a in ( b|reversed)|each  %}",
        );
        check("{{ a[::-1] }}[::-1]", "{{ a|reversed }}[::-1]");
    }

    #[test]
    fn what_does_not_end_is_left_to_the_compiler() {
        for source in [
            "{{ '{% generation %",
            "generation {",
            "{%",
            "{{ 'a\\",
            "{# a",
            "{% raw %}{%",
        ] {
            check(source, source);
        }
        check("a\r\nb\rc", "a\nb\nc");
    }

    #[test]
    fn too_much_is_refused() {
        let too_long = alloc::format!("\n{{{{ 1{} }}}}", "+1".repeat(MAX_TOKENS));
        let error = prepare(&too_long).err().unwrap();
        assert_eq!((error.kind(), error.line()), (ErrorKind::Limit, Some(2)));
    }
}
