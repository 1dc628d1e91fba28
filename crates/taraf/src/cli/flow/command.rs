//! The subcommands of `taraf flow`.

use super::{check, publish, testing, trying};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf flow check flows/*/flow.yaml
  taraf flow try flow.yaml --input '{\"name\":\"Ana\"}'")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say nothing when the documents are sound, else one finding a line.
    Check(check::Args),
    /// Run one document here and now in an engine of its own; no server needed.
    Try(trying::Args),
    /// Run the cases beside flows against mocked services.
    Test(testing::Args),
    /// Give a flow to the server; a version never changes its content.
    Publish(publish::PublishArgs),
    /// The flows of the server.
    List(publish::ListArgs),
    /// The source of a flow of the server.
    Show(publish::ShowArgs),
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    match args.command {
        Command::Check(args) => check::run(&args, output),
        Command::Try(args) => Box::pin(trying::run(args, output)).await,
        Command::Test(args) => Box::pin(testing::run(args, output)).await,
        Command::Publish(args) => publish::publish(args, output).await,
        Command::List(args) => publish::list(args, output).await,
        Command::Show(args) => publish::show(args, output).await,
    }
}
