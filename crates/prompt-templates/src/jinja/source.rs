//! Rewrites a template's source for minijinja.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, ErrorKind};

use super::lexer;
use super::statement::{self, Block};

/// The source in the form for minijinja, so that it renders like transformers and cannot exceed its
/// limits:
///
/// - Expressions are rewritten by [`expression`](super::expression), statements by [`statement`].
/// - Text that is captured in a variable is counted by the filter `op.text`, as the engine counts
///   only what it writes to the output.
/// - Comments are emptied.
/// - Lines end with `\n`, as Jinja reads them.
///
/// Text, raw blocks and strings keep their content, and line numbers stay the same.
///
/// # Errors
///
/// [`ErrorKind::Syntax`] for source that is not Jinja; [`ErrorKind::Limit`] for a source so long or
/// so deeply nested that compiling it might exhaust the stack. Both have the line.
pub(super) fn prepare(source: &str) -> Result<Prepared, Error> {
    if source.len() > MAX_SOURCE {
        return Err(Error::new(ErrorKind::Limit, "the template is too long"));
    }
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut writer = Writer {
        source: &source,
        out: String::with_capacity(2 * source.len()),
        blocks: Vec::new(),
        branches: 0,
        uncounted_text: 0,
    };
    match writer.write() {
        Ok(()) => Ok(Prepared {
            source: writer.out,
            uncounted_text: writer.uncounted_text,
        }),
        Err(fault) => {
            let line = source[..fault.at].matches('\n').count() + 1;
            Err(Error::new(fault.kind, fault.detail).at_line(Some(line)))
        }
    }
}

/// A source that minijinja reads as transformers reads the original.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) source: String,
    /// The maximum length of a text that one instruction may write to a variable uncounted.
    pub(super) uncounted_text: usize,
}

/// An error in a source, with its offset.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    kind: ErrorKind,
    detail: Cow<'static, str>,
}

impl Fault {
    pub(super) fn syntax(at: usize, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            at,
            kind: ErrorKind::Syntax,
            detail: detail.into(),
        }
    }

    pub(super) fn complex(at: usize) -> Self {
        Self {
            at,
            kind: ErrorKind::Limit,
            detail: "the template is too complex".into(),
        }
    }
}

struct Writer<'s> {
    source: &'s str,
    out: String,
    /// The open blocks.
    blocks: Vec<Block>,
    branches: usize,
    uncounted_text: usize,
}

impl Writer<'_> {
    fn write(&mut self) -> Result<(), Fault> {
        let source = self.source;
        let mut at = 0;
        while let Some((open, mark)) = next_mark(source, at) {
            self.text(&source[at..open]);
            // The engine accepts a sign after the mark for white-space control.
            let inside = open + 2 + usize::from(source[open + 2..].starts_with(['-', '+']));
            at = match mark {
                Mark::Comment => self.comment(open, inside)?,
                Mark::Variable => {
                    let tag = lexer::tag(source, inside, "}}")?;
                    self.out.push_str(&source[open..inside]);
                    statement::print(&tag, &mut self.out)?;
                    self.out.push_str(tag.close);
                    tag.end
                }
                Mark::Block => match raw_tag(&source[inside..], "raw", false) {
                    Some(length) => self.raw(open, inside + length)?,
                    None => self.block(open, inside)?,
                },
            };
        }
        self.text(&source[at..]);
        match self.blocks.last() {
            Some(block) => Err(Fault::syntax(
                block.at,
                format!("`{}` is not closed", block.name),
            )),
            None => Ok(()),
        }
    }

    fn block(&mut self, open: usize, inside: usize) -> Result<usize, Fault> {
        let tag = lexer::tag(self.source, inside, "%}")?;
        self.out.push_str(&self.source[open..inside]);
        statement::block(&tag, open, &mut self.blocks, &mut self.out)?;
        self.out.push_str(tag.close);
        self.branches += usize::from(tag.tokens.first().is_some_and(|name| name.text == "elif"));
        if self.branches > MAX_BRANCHES || self.blocks.len() > MAX_DEPTH {
            return Err(Fault::complex(open));
        }
        Ok(tag.end)
    }

    /// Copies text, and counts it if it may go to a variable.
    fn text(&mut self, text: &str) {
        if !self.is_captured() {
            self.out.push_str(text);
            return;
        }
        // The tag is placed after leading white space, so that the engine strips the same.
        let start = text.find(|c: char| !c.is_whitespace());
        match start.filter(|_| text.len() > SHORT_TEXT) {
            Some(start) => {
                let (space, rest) = text.split_at(start);
                let count = format!("{{{{ {}|op.text }}}}", text.len());
                self.out.extend([space, &count, rest]);
            }
            None => {
                self.uncounted_text = self.uncounted_text.max(text.len());
                self.out.push_str(text);
            }
        }
    }

    /// Whether the output of the current block may go to a variable.
    fn is_captured(&self) -> bool {
        self.blocks.iter().any(|block| block.captures)
    }

    /// Copies a comment without its content.
    fn comment(&mut self, open: usize, inside: usize) -> Result<usize, Fault> {
        let comment = &self.source[inside..];
        let end = comment
            .find("#}")
            .ok_or_else(|| Fault::syntax(open, "the comment is not closed"))?;
        let text = &comment[..end];
        let control = match text.as_bytes().last() {
            Some(b'-') => "-",
            Some(b'+') => "+",
            _ => "",
        };
        self.out.push_str(&self.source[open..inside]);
        let breaks = text.matches('\n').count();
        self.out.push(' ');
        self.out.extend(core::iter::repeat_n('\n', breaks));
        self.out.push_str(control);
        self.out.push_str("#}");
        Ok(inside + end + 2)
    }

    /// Copies a raw block, whose content starts at `inside`.
    fn raw(&mut self, open: usize, inside: usize) -> Result<usize, Fault> {
        let mut at = inside;
        while let Some(found) = self.source[at..].find("{%") {
            let end = at + found;
            at = end + 2;
            if let Some(length) = raw_tag(&self.source[at..], "endraw", true) {
                if self.is_captured() {
                    self.uncounted_text = self.uncounted_text.max(end - inside);
                }
                self.out.push_str(&self.source[open..at + length]);
                return Ok(at + length);
            }
        }
        Err(Fault::syntax(open, "the raw block is not closed"))
    }
}

enum Mark {
    Block,
    Comment,
    Variable,
}

fn next_mark(source: &str, mut at: usize) -> Option<(usize, Mark)> {
    loop {
        at += source[at..].find('{')?;
        let mark = match source.as_bytes().get(at + 1) {
            Some(b'%') => Mark::Block,
            Some(b'#') => Mark::Comment,
            Some(b'{') => Mark::Variable,
            _ => {
                at += 1;
                continue;
            }
        };
        return Some((at, mark));
    }
}

/// The length of a tag after its opening delimiter, if it consists of this name alone. The engine
/// finds raw blocks in the same way.
fn raw_tag(text: &str, name: &str, has_control: bool) -> Option<usize> {
    let is_space = |c: char| c.is_ascii_whitespace();
    let mut rest = text;
    if has_control {
        rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    }
    rest = rest.trim_start_matches(is_space).strip_prefix(name)?;
    rest = rest.trim_start_matches(is_space);
    rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    rest = rest.strip_prefix("%}")?;
    Some(text.len() - rest.len())
}

const MAX_SOURCE: usize = 1 << 20;
// Each of these may cost frames of the compiler's stack, which is two megabytes on a thread. The
// published templates have at most 20 branches, and a depth of 10.
const MAX_BRANCHES: usize = 250;
const MAX_DEPTH: usize = 50;
/// Text up to this length is not counted individually: the fuel is reduced instead.
const SHORT_TEXT: usize = 64;

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
