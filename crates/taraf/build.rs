//! Tells the program its target and, where git knows it, its commit.

use std::path::Path;
use std::process::Command;

fn main() {
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=TARAF_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
    // The reference log moves with each commit; a source archive has none.
    let moves = "../../.git/logs/HEAD";
    if Path::new(moves).is_file() {
        println!("cargo::rerun-if-changed={moves}");
    }
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output();
    if let Ok(output) = commit
        && output.status.success()
    {
        let commit = String::from_utf8_lossy(&output.stdout);
        println!("cargo::rustc-env=TARAF_COMMIT={}", commit.trim());
    }
}
