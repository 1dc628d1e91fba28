//! `taraf completions SHELL`: the script that lets a shell complete commands and options.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::entry::Cli;
use super::failure::{Exit, Failure};
use super::output::Output;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf completions bash > ~/.local/share/bash-completion/completions/taraf
  taraf completions zsh > ~/.zfunc/_taraf")]
pub(crate) struct Args {
    /// bash, zsh, fish, elvish or powershell.
    #[arg(value_enum, hide_possible_values = true)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "taraf", &mut script);
    output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
