//! The `sereno` command.

fn main() {}
