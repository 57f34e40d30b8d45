//! [`RawItems`]: the items of an array, left as text.

use std::iter::FusedIterator;

use super::scan::Scanner;

/// The JSON texts of an array's items, in their order.
///
/// See [`RawObject::items`](super::RawObject::items).
#[derive(Clone, Debug)]
pub struct RawItems<'a> {
    /// In an array that has been passed once, so it cannot fail.
    scanner: Scanner<'a>,
    first: bool,
    ended: bool,
}

impl<'a> RawItems<'a> {
    /// The items of an array; `None` for the text of another value. Where the text turns out not to
    /// be JSON the items end.
    pub fn of(value: &'a str) -> Option<Self> {
        let mut scanner = Scanner::of(value);
        scanner.open_array().then_some(Self {
            scanner,
            first: true,
            ended: false,
        })
    }
}

impl<'a> Iterator for RawItems<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let goes_on = !self.ended && self.scanner.next_item(&mut self.first, b']').ok()?;
        self.ended = !goes_on;
        goes_on.then(|| self.scanner.value().ok())?
    }
}

impl FusedIterator for RawItems<'_> {}
