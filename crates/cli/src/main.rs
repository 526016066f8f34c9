//! The `minato` program.
fn main() {}
