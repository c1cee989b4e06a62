//! onestep
fn main() {}
