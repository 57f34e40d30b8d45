//! Rewrites tags: see [`source`](super::source).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::lexer::{Kind, Tag};
use super::parser::Parser;
use super::source::Fault;

/// An open block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) name: &'static str,
    /// The tag that ends it in the rewritten source.
    end: &'static str,
    /// Its content may go to a variable.
    pub(super) captures: bool,
    pub(super) at: usize,
}

/// Writes the content of `{{ … }}`.
pub(super) fn print(tag: &Tag<'_>, out: &mut String) -> Result<(), Fault> {
    let mut parser = Parser::new(&tag.tokens, tag.end);
    out.push(' ');
    out.push_str(&parser.expression()?.text);
    end(&parser, tag, out)
}

/// Writes the content of `{% … %}`, which may open or close a block.
pub(super) fn block(
    tag: &Tag<'_>,
    at: usize,
    blocks: &mut Vec<Block>,
    out: &mut String,
) -> Result<(), Fault> {
    let mut parser = Parser::new(&tag.tokens, tag.end);
    let Some(name) = parser.peek().filter(|token| token.kind == Kind::Name) else {
        return Err(parser.unexpected("a statement"));
    };
    let (name, fault_at) = (name.text, name.at);
    let mut open = |name, end, captures| {
        blocks.push(Block {
            name,
            end,
            captures,
            at,
        });
    };
    out.push(' ');
    match name {
        "if" | "elif" => {
            parser.write_next(out, "");
            out.push(' ');
            out.push_str(&parser.condition()?.text);
            if name == "if" {
                open("if", "endif", false);
            }
        }
        "for" => {
            let recursive = for_loop(&mut parser, out)?;
            open("for", "endfor", recursive);
        }
        "set" => {
            if let Some(end) = set(&mut parser, out)? {
                open("set", end, true);
            }
        }
        "with" => {
            with(&mut parser, out)?;
            open("with", "endwith", false);
        }
        "macro" => {
            parser.write_next(out, "");
            out.push(' ');
            parser.write_name(out, "the name of the macro")?;
            parameters(&mut parser, out)?;
            open("macro", "endmacro", true);
        }
        "call" => {
            parser.write_next(out, "");
            if parser.sign_of(&["("]).is_some() {
                parameters(&mut parser, out)?;
            }
            out.push(' ');
            out.push_str(&parser.expression()?.text);
            open("call", "endcall", true);
        }
        "filter" => {
            parser.write_next(out, "");
            out.push(' ');
            filters(&mut parser, out)?;
            open("filter", "endfilter", true);
        }
        "do" => {
            parser.write_next(out, "");
            out.push(' ');
            out.push_str(&parser.expression()?.text);
        }
        // In a single template, both only open a scope, as `with` does. (transformers marks the
        // assistant's tokens with `generation`, which is not needed for a prompt.)
        "generation" => {
            let mut head = String::new();
            parser.write_next(&mut head, "");
            scope(&head, out);
            open("generation", "endwith", false);
        }
        "block" => {
            scope(&block_head(&mut parser)?, out);
            open("block", "endwith", false);
        }
        "else" | "break" | "continue" => parser.write_next(out, ""),
        "autoescape" | "extends" | "from" | "import" | "include" => {
            let detail = format!("`{name}` is not supported in a chat template");
            return Err(Fault::syntax(fault_at, detail));
        }
        _ => match name.strip_prefix("end") {
            Some(ended) => end_block(&mut parser, ended, blocks.pop(), fault_at, out)?,
            None => {
                let detail = format!("unknown statement `{name:.20}`");
                return Err(Fault::syntax(fault_at, detail));
            }
        },
    }
    end(&parser, tag, out)
}

/// Writes the tag that ends the innermost block, `block`, in place of `end{ended}`.
fn end_block(
    parser: &mut Parser<'_, '_>,
    ended: &str,
    block: Option<Block>,
    at: usize,
    out: &mut String,
) -> Result<(), Fault> {
    let Some(block) = block else {
        let detail = format!("unexpected `end{ended:.17}`: no block is open");
        return Err(Fault::syntax(at, detail));
    };
    if ended != block.name {
        let detail = format!("unexpected `end{ended:.17}`: `{}` is open", block.name);
        return Err(Fault::syntax(at, detail));
    }
    let mut original = String::new();
    parser.write_next(&mut original, "");
    if ended == "block" && !parser.is_at_end() {
        parser.write_name(&mut original, "the name of the block")?;
    }
    copy_breaks(&original, out);
    out.push_str(block.end);
    Ok(())
}

/// Writes `with` in place of a tag that only opens a scope, with the line breaks of the tag.
fn scope(head: &str, out: &mut String) {
    copy_breaks(head, out);
    out.push_str("with");
}

/// Reads `block` with its name.
fn block_head(parser: &mut Parser<'_, '_>) -> Result<String, Fault> {
    let mut head = String::new();
    parser.write_next(&mut head, "");
    parser.write_name(&mut head, "the name of the block")?;
    while parser.is_name("scoped") || parser.is_name("required") {
        parser.write_next(&mut head, "");
    }
    Ok(head)
}

/// Writes `for`. Returns whether it is recursive.
fn for_loop(parser: &mut Parser<'_, '_>, out: &mut String) -> Result<bool, Fault> {
    parser.write_next(out, "");
    out.push(' ');
    targets(parser, out)?;
    if !parser.is_name("in") {
        return Err(parser.unexpected("`in`"));
    }
    parser.write_next(out, " ");
    out.push(' ');
    out.push_str(&parser.condition()?.each());
    if parser.is_name("if") {
        parser.write_next(out, " ");
        out.push(' ');
        out.push_str(&parser.expression()?.text);
    }
    let is_recursive = parser.is_name("recursive");
    if is_recursive {
        parser.write_next(out, " ");
    }
    Ok(is_recursive)
}

/// Writes `set`. Returns the tag that ends it if it is a block. A filter sets the attributes of a
/// namespace, because the engine's own namespace could contain itself and would never be freed.
fn set(parser: &mut Parser<'_, '_>, out: &mut String) -> Result<Option<&'static str>, Fault> {
    let mut keyword = String::new();
    parser.write_next(&mut keyword, "");
    let mut target = String::new();
    targets(parser, &mut target)?;
    let mut attribute = None;
    while parser.sign_of(&["."]).is_some() {
        if target.contains([',', '(']) {
            return Err(parser.unexpected("`=`, as attributes are set one by one"));
        }
        parser.expect(".", &mut keyword)?;
        if let Some(inner) = attribute.take() {
            target = format!("{target}.{inner}");
        }
        let mut name = String::new();
        parser.write_name(&mut name, "an attribute")?;
        attribute = Some(name);
    }
    // The line breaks inside the target are written here, to keep the line numbers.
    copy_breaks(&keyword, out);
    let is_block = parser.is_at_end() || parser.sign_of(&["|"]).is_some();
    match (is_block, attribute) {
        (true, Some(attribute)) => {
            out.push_str("filter ");
            if parser.sign_of(&["|"]).is_some() {
                parser.expect("|", &mut String::new())?;
                filters(parser, out)?;
                out.push('|');
            }
            out.push_str(&format!("op.capture({target}, '{}')", attribute.trim()));
            Ok(Some("endfilter"))
        }
        (true, None) => {
            out.push_str(&format!("set {target}"));
            if parser.sign_of(&["|"]).is_some() {
                parser.write_next(out, "");
                filters(parser, out)?;
            }
            Ok(Some("endset"))
        }
        (false, attribute) => {
            let mut equals = String::new();
            parser.expect("=", &mut equals)?;
            let value = value(parser)?;
            match attribute {
                Some(attribute) => out.push_str(&format!(
                    "set {IGNORED} {equals} {target}|op.assign('{}', {value})",
                    attribute.trim()
                )),
                None => out.push_str(&format!("set {target} {equals} {value}")),
            }
            Ok(None)
        }
    }
}

/// The value of a `set`: an expression, or several as a tuple.
fn value(parser: &mut Parser<'_, '_>) -> Result<String, Fault> {
    let first = parser.expression()?;
    if parser.sign_of(&[","]).is_none() {
        return Ok(first.kept().into_owned());
    }
    let mut text = format!("({}", first.text);
    while parser.sign_of(&[","]).is_some() {
        parser.write_next(&mut text, "");
        if parser.is_at_end() {
            break;
        }
        text.push(' ');
        text.push_str(&parser.expression()?.text);
    }
    text.push_str(")|op.keep");
    Ok(text)
}

fn with(parser: &mut Parser<'_, '_>, out: &mut String) -> Result<(), Fault> {
    parser.write_next(out, "");
    let mut is_first = true;
    while !parser.is_at_end() {
        if !is_first {
            parser.expect(",", out)?;
        }
        is_first = false;
        out.push(' ');
        if parser.sign_of(&["("]).is_some() {
            targets(parser, out)?;
        } else {
            parser.write_name(out, "a variable")?;
        }
        parser.expect("=", out)?;
        out.push_str(&parser.expression()?.kept());
    }
    Ok(())
}

/// Variables to be set: names, with commas and parentheses.
fn targets(parser: &mut Parser<'_, '_>, out: &mut String) -> Result<(), Fault> {
    let start = out.len();
    while let Some(token) = parser.peek() {
        match (token.kind, token.text) {
            (Kind::Name, "in") => break,
            (Kind::Name, _) => parser.write_next(out, " "),
            (Kind::Sign, "(" | ")" | ",") => parser.write_next(out, ""),
            _ => break,
        }
    }
    if out.len() == start {
        return Err(parser.unexpected("a variable"));
    }
    Ok(())
}

/// The parameters of a macro.
fn parameters(parser: &mut Parser<'_, '_>, out: &mut String) -> Result<(), Fault> {
    parser.expect("(", out)?;
    let mut is_first = true;
    while parser.sign_of(&[")"]).is_none() {
        if !is_first {
            parser.expect(",", out)?;
            if parser.sign_of(&[")"]).is_some() {
                break;
            }
            out.push(' ');
        }
        is_first = false;
        parser.write_name(out, "a parameter")?;
        if parser.sign_of(&["="]).is_some() {
            parser.write_next(out, "");
            out.push_str(&parser.expression()?.kept());
        }
    }
    parser.expect(")", out)
}

fn filters(parser: &mut Parser<'_, '_>, out: &mut String) -> Result<(), Fault> {
    parser.filter(out)?;
    while parser.sign_of(&["|"]).is_some() {
        parser.write_next(out, "");
        parser.filter(out)?;
    }
    Ok(())
}

/// Checks that nothing is left, and writes the line breaks before the closing delimiter.
fn end(parser: &Parser<'_, '_>, tag: &Tag<'_>, out: &mut String) -> Result<(), Fault> {
    if !parser.is_at_end() {
        return Err(parser.unexpected("the end of the tag"));
    }
    out.extend(core::iter::repeat_n('\n', tag.breaks));
    out.push(' ');
    Ok(())
}

fn copy_breaks(from: &str, out: &mut String) {
    out.extend(from.chars().filter(|c| *c == '\n'));
}

/// The variable of a `set` whose value is not used.
const IGNORED: &str = "op_ignored";
