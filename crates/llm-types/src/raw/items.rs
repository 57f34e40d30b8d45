//! [`RawItems`]: the items of an array, as text.

use std::iter::FusedIterator;

use super::object::RawObject;
use super::scan::Scanner;

/// The JSON texts of an array's items, in order.
///
/// See [`RawObject::items`](super::RawObject::items).
#[derive(Clone, Debug)]
pub struct RawItems<'a> {
    scanner: Scanner<'a>,
    first: bool,
    ended: bool,
}

impl<'a> RawItems<'a> {
    /// The items of an array; `None` if the text is another value. The items end where the text is
    /// not valid JSON.
    pub fn of(value: &'a str) -> Option<Self> {
        Self::new(Scanner::of(value))
    }

    /// The items of an array whose text has been validated.
    pub(super) fn of_valid(value: &'a str) -> Option<Self> {
        Self::new(Scanner::of_valid(value))
    }

    fn new(mut scanner: Scanner<'a>) -> Option<Self> {
        scanner.open_array().then_some(Self {
            scanner,
            first: true,
            ended: false,
        })
    }
}

impl RawItems<'_> {
    /// Moves the scanner to the start of the next item; false if there is none.
    fn advance(&mut self) -> bool {
        if !self.ended {
            let has_next = self.scanner.next_item(&mut self.first, b']');
            self.ended = !has_next.unwrap_or_default();
        }
        !self.ended
    }
}

impl<'a> Iterator for RawItems<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if !self.advance() {
            return None;
        }
        let item = self.scanner.value().ok();
        self.ended = item.is_none();
        item
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

    /// The objects in an array whose text has been validated.
    pub(super) fn of_valid(value: &'a str) -> Option<Self> {
        RawItems::of_valid(value).map(Self)
    }
}

impl<'a> Iterator for RawObjects<'a> {
    type Item = Result<RawObject<'a>, &'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.0.advance() {
            return None;
        }
        let scanner = &mut self.0.scanner;
        let item = if scanner.peek() == Some(b'{') {
            RawObject::scan(scanner).ok().map(Ok)
        } else {
            scanner.value().ok().map(Err)
        };
        self.0.ended = item.is_none();
        item
    }
}

impl FusedIterator for RawObjects<'_> {}
