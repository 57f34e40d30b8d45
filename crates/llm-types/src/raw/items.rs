//! [`RawItems`]: the items of an array, as text.

use std::iter::FusedIterator;

use super::object::RawObject;
use super::scan::Scanner;

/// The JSON texts of an array's items, in order.
///
/// See [`RawObject::items`](super::RawObject::items).
#[derive(Clone, Debug)]
pub struct RawItems<'a> {
    /// Over an array that was already validated, so it cannot fail.
    scanner: Scanner<'a>,
    first: bool,
    ended: bool,
}

impl<'a> RawItems<'a> {
    /// The items of an array; `None` if the text is another value. If the text turns out to be
    /// invalid JSON, the items end.
    pub fn of(value: &'a str) -> Option<Self> {
        let mut scanner = Scanner::of(value);
        scanner.open_array().then_some(Self {
            scanner,
            first: true,
            ended: false,
        })
    }
}

impl RawItems<'_> {
    /// Whether there is another item; the scanner then is at its start.
    fn advance(&mut self) -> bool {
        let next = |this: &mut Self| this.scanner.next_item(&mut this.first, b']');
        let goes_on = !self.ended && next(self).unwrap_or_default();
        self.ended = !goes_on;
        goes_on
    }
}

impl<'a> Iterator for RawItems<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.advance().then(|| self.scanner.value().ok())?
    }
}

impl FusedIterator for RawItems<'_> {}

/// The objects in an array, with their members found in the same pass.
///
/// See [`RawObject::objects`](super::RawObject::objects).
#[derive(Clone, Debug)]
pub struct RawObjects<'a>(RawItems<'a>);

impl<'a> RawObjects<'a> {
    /// The objects in an array; `None` if the text is another value.
    pub fn of(value: &'a str) -> Option<Self> {
        RawItems::of(value).map(Self)
    }
}

impl<'a> Iterator for RawObjects<'a> {
    type Item = Result<RawObject<'a>, &'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.0.advance() {
            return None;
        }
        let scanner = &mut self.0.scanner;
        if scanner.peek() == Some(b'{') {
            RawObject::scan(scanner).ok().map(Ok)
        } else {
            scanner.value().ok().map(Err)
        }
    }
}

impl FusedIterator for RawObjects<'_> {}
