//! The project's own tools; `cargo xtask` lists them.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks to its caller"
)]

mod bench;
mod ci;
mod fuzz;
mod golden;
mod long;
mod report;
mod setup;
mod shell;
mod sim;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  ci              set up what the tests need, then everything that must hold before a commit
  setup           install what the tests need (Debian packages, cargo-nextest, a Python environment)
  tidy            layering, file sizes, headers, paths in ARCHITECTURE.md, dependencies
  golden --update write the golden files anew from what the tests see
  bench NAME      a benchmark beside its peer, its result put into docs/reference/performance.md;
                  without a name, the list; with --print the document is left as it is
  sim             simulate engine, log and accounts under faults: --seeds N, --from SEED, --minutes M,
                  --jobs J; --seed SEED shows one alone with everything that happens;
                  sim gossip simulates clusters of members: --members N, --seeds N, --loss PERCENT
  long NAME       a check too long for the suite, its result put into docs/reference/reliability.md;
                  without a name, the list; options such as --rounds 1000 go to the check
  fuzz [TARGET]   feed made-up bytes to the readers of foreign bytes, --seconds N each; what breaks one is
                  kept and runs again with --replay FILE; --list shows the targets, --check is what ci does,
                  --minimise puts the inputs worth keeping into fuzz/corpus
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["ci"] => ci::run_all(),
        ["setup"] => setup::run(),
        ["tidy"] => tidy::run(),
        ["golden", "--update"] => golden::update(),
        ["bench", rest @ ..] => bench::run_named(rest),
        ["sim", rest @ ..] => sim::run_words(rest),
        ["long", rest @ ..] => long::run_named(rest),
        ["fuzz", rest @ ..] => fuzz::run_named(rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("xtask: no such command: {}\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
