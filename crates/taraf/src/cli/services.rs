//! `taraf services …`: what is offered, and where it answers.

use serde_json::Value;

use super::failure::{Exit, Failure};
use super::flow_name::items;
use super::operator::{Call, Operator, ServerArgs};
use super::output::Output;
use super::table::{Column, lookup};

const COLUMNS: [Column; 3] = [
    Column::text("name", "name"),
    Column::of("endpoints", count),
    Column::of("addresses", addresses),
];

const ENDPOINTS: [Column; 8] = [
    Column::text("address", "address"),
    Column::state("state", "state"),
    Column::number("calls", "calls"),
    Column::number("failures", "failures"),
    Column::number("in flight", "in_flight"),
    Column::of("latency", latency),
    Column::number("weight", "weight"),
    Column::text("version", "version"),
];

/// The moving average in milliseconds with three digits after the point.
fn latency(endpoint: &Value) -> String {
    let micros = lookup(endpoint, "latency_us").as_u64();
    micros
        .map(|micros| format!("{}.{:03} ms", micros / 1000, micros % 1000))
        .unwrap_or_default()
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf services list
  taraf services show companies")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// All services and their endpoints.
    #[command(before_long_help = "Examples:
  taraf services list
  taraf services list --format json")]
    List,
    /// One service: each endpoint and the state of its breaker.
    #[command(before_long_help = "Examples:
  taraf services show companies
  taraf services show companies --format json")]
    Show {
        /// The service's name.
        name: String,
    },
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let operator = Operator::find(&args.server)?;
    match args.command {
        Command::List => {
            let services = list(&operator).await?;
            output.list(&services, &COLUMNS)?;
            if services.is_empty() {
                output.say("no services; start one: taraf service NAME");
            }
        }
        Command::Show { name } => {
            let service = find(&operator, &name).await?;
            if output.is_structured() {
                output.one(&service, &COLUMNS)?;
            } else {
                output.list(&endpoints(&service), &ENDPOINTS)?;
            }
        }
    }
    Ok(Exit::Done)
}

pub(crate) async fn list(operator: &Operator) -> Result<Vec<Value>, Failure> {
    Ok(items(operator.json(Call::get("/v1/services")).await?))
}

/// The service of this name.
pub(crate) async fn find(operator: &Operator, name: &str) -> Result<Value, Failure> {
    let services = list(operator).await?;
    let known: Vec<&str> = services
        .iter()
        .filter_map(|service| lookup(service, "name").as_str())
        .collect();
    let known = if known.is_empty() {
        "there are none".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    };
    let missing = Failure::not_found(format!("no service is named `{name}`")).with_help(known);
    services
        .into_iter()
        .find(|service| lookup(service, "name") == name)
        .ok_or(missing)
}

pub(crate) fn endpoints(service: &Value) -> Vec<Value> {
    let endpoints = lookup(service, "endpoints").as_array();
    endpoints.cloned().unwrap_or_default()
}

fn count(service: &Value) -> String {
    endpoints(service).len().to_string()
}

fn addresses(service: &Value) -> String {
    let addresses: Vec<String> = endpoints(service).iter().filter_map(address).collect();
    addresses.join(",")
}

/// Where an endpoint answers.
pub(crate) fn address(endpoint: &Value) -> Option<String> {
    let address = endpoint
        .as_str()
        .or_else(|| endpoint.get("address")?.as_str());
    address.map(str::to_owned)
}
