//! polyllm
fn main() {}
