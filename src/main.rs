//! The `dingsync` program: everything of interest is in the library.

fn main() {}
