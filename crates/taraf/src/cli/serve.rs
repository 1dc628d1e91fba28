//! `taraf dev`, `taraf serve`, `taraf service`: the commands that stay and serve.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::failure::{Exit, Failure};
use super::import;
use super::output::Output;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf dev                      this folder's flows and services, data in .taraf/
  taraf dev shop --ports 9000    the project in shop/, listeners from port 9000")]
pub(crate) struct DevArgs {
    /// Project whose flows, services and taraf.toml are watched.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where data lie [default: DIR/.taraf]; `:memory:` keeps none.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Listeners take consecutive ports from this one.
    #[arg(long, value_name = "FIRST", value_parser = clap::value_parser!(u16).range(1..=65_530))]
    ports: Option<u16>,
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf serve --config /etc/taraf/taraf.toml
  TARAF_GATEWAY__LISTEN=0.0.0.0:7400 taraf serve --config taraf.toml")]
pub(crate) struct ServeArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "taraf.toml")]
    config: PathBuf,
    /// Lead all runs and perform nothing, until `POST /v1/release` on the operator API.
    #[arg(long)]
    hold: bool,
    /// Go on with what the records say where they give another state than was recorded. For a
    /// partition that is not led and says so; the state becomes what replay gives.
    #[arg(long)]
    accept_replayed_state: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = false,
    before_long_help = "Examples:
  taraf service rates --join 127.0.0.1:7946
  taraf service companies import --from open-data/"
)]
pub(crate) struct ServiceArgs {
    /// Which of the shipped services: companies, rates, validate.
    name: String,
    /// Where it listens [default: 127.0.0.1, a free port].
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where it keeps what must survive [default: data.dir of the configuration, else nothing is
    /// kept].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Joins the cluster of this member, and is found there; can be repeated.
    #[arg(long, value_name = "ADDR")]
    join: Vec<String>,
    /// Where it listens for gossip [default: the same address as --listen, a free port].
    #[arg(long, value_name = "ADDR")]
    gossip: Option<SocketAddr>,
    /// The cluster's gossip key, or a node's keyring file [default: that of this folder's `taraf
    /// dev`].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<ServiceAction>,
}

#[derive(Debug, clap::Subcommand)]
enum ServiceAction {
    /// Imports the trade register's open data for `companies`; a running server takes them over.
    Import(import::Args),
}

pub(crate) async fn dev(args: DevArgs) -> Result<Exit, Failure> {
    if !args.dir.is_dir() {
        let dir = args.dir.display();
        return Err(Failure::usage(format!("{dir} is not a folder")));
    }
    let options = crate::dev::Options {
        dir: args.dir,
        data: args.data,
        ports: args.ports,
    };
    Box::pin(crate::dev::run(options)).await?;
    Ok(Exit::Done)
}

pub(crate) async fn serve(args: ServeArgs) -> Result<Exit, Failure> {
    if !args.config.is_file() {
        let file = args.config.display();
        return Err(Failure::usage(format!("no configuration at {file}"))
            .with_help("name it with --config FILE; `taraf dev` needs none"));
    }
    let chosen = crate::node::Chosen {
        hold: args.hold,
        accepts_replay: args.accept_replayed_state,
    };
    Box::pin(crate::node::serve(&args.config, chosen)).await?;
    Ok(Exit::Done)
}

pub(crate) async fn service(args: ServiceArgs, output: &Output) -> Result<Exit, Failure> {
    if let Some(ServiceAction::Import(import)) = args.action {
        return import::run(&args.name, args.data, import, output).await;
    }
    let options = crate::apps::Alone {
        listen: args.listen,
        data: args.data,
        join: args.join,
        gossip: args.gossip,
        key_file: args.key_file,
    };
    Box::pin(crate::apps::serve_one(&args.name, options)).await?;
    Ok(Exit::Done)
}
