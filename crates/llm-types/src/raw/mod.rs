//! JSON kept as bytes, of which only a few members are read.

mod edit;
mod index;
mod items;
mod object;
mod scalar;
mod scan;
mod strings;

pub use edit::{Edit, Piece};
pub use index::RawIndex;
pub use items::{RawItems, RawObjects};
pub use object::RawObject;
pub(crate) use scan::Scanner;
