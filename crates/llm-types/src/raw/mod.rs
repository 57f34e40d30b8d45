//! JSON kept as bytes, of which only a few members are read.

mod edit;
mod object;
mod scan;
mod strings;

pub use edit::Edit;
pub use object::RawObject;
pub(crate) use scan::{RawStr, Scanner, utf8};
