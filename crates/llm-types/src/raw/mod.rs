//! JSON that is kept as bytes and of which only some members are read.

mod edit;
mod index;
mod items;
mod numbers;
mod object;
mod scalar;
mod scan;
mod strings;

pub use edit::{Edit, Piece};
pub use index::RawIndex;
pub use items::{RawItems, RawObjects};
pub use object::RawObject;
pub(crate) use scan::Scanner;
