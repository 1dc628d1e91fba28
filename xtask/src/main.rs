//! The tools of the project.

fn main() {}
