//! `taraf services …`: what is offered, by whom, and where it answers; an endpoint taken out for a while.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::failure::{Exit, Failure};
use super::flow_name::items;
use super::operator::{Call, Operator, ServerArgs, escaped};
use super::output::Output;
use super::table::{Column, lookup};

const COLUMNS: [Column; 4] = [
    Column::text("name", "name"),
    Column::of("endpoints", count),
    Column::of("addresses", addresses),
    Column::of("members", members),
];

const ENDPOINTS: [Column; 9] = [
    Column::text("address", "address"),
    Column::state("state", "state"),
    Column::number("calls", "calls"),
    Column::number("failures", "failures"),
    Column::number("in flight", "in_flight"),
    Column::of("latency", latency),
    Column::number("weight", "weight"),
    Column::text("version", "version"),
    Column::text("member", "member"),
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
  taraf services drain rates 127.0.0.1:8081")]
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
    /// Sends no more calls to an endpoint, and waits until those under way have ended.
    #[command(before_long_help = "Examples:
  taraf services drain rates 127.0.0.1:8081
  taraf services drain rates 127.0.0.1:8081 --undo")]
    Drain {
        /// The service's name.
        name: String,
        /// Which of its endpoints [default: all].
        endpoint: Option<SocketAddr>,
        /// Lets it take calls again.
        #[arg(long)]
        undo: bool,
        /// How long calls under way are waited for.
        #[arg(long, value_name = "DURATION", default_value = "30s",
            value_parser = taraf_base::duration::parse)]
        wait: Duration,
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
        Command::Drain {
            name,
            endpoint,
            undo: true,
            ..
        } => {
            set_drained(&operator, &name, endpoint, "resume").await?;
            output.say("it takes calls again");
        }
        Command::Drain {
            name,
            endpoint,
            wait,
            ..
        } => {
            let service = set_drained(&operator, &name, endpoint, "drain").await?;
            let left = until_quiet(&operator, service, wait).await?;
            if left > 0 {
                let wait = taraf_base::duration::format(wait);
                let message = format!("{left} calls are still under way after {wait}");
                return Err(Failure::new(Exit::TimedOut, message)
                    .with_help("no new ones are sent; run it again to go on waiting"));
            }
            output.say("drained: no calls are under way, and none are sent by this node");
        }
    }
    Ok(Exit::Done)
}

pub(crate) async fn list(operator: &Operator) -> Result<Vec<Value>, Failure> {
    Ok(items(operator.json(Call::get("/v1/services")).await?))
}

/// Between two looks at the calls under way.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

async fn set_drained(
    operator: &Operator,
    name: &str,
    endpoint: Option<SocketAddr>,
    how: &str,
) -> Result<Value, Failure> {
    let path = format!("/v1/services/{}/{how}", escaped(name));
    let call = Call::post(path).json(&json!({ "endpoint": endpoint }));
    operator.json(call).await
}

/// Waits until the drained endpoints of a service have no calls under way; how many there are at the end.
async fn until_quiet(
    operator: &Operator,
    mut service: Value,
    wait: Duration,
) -> Result<u64, Failure> {
    let end = Instant::now() + wait;
    loop {
        let endpoints = endpoints(&service);
        let drained = endpoints.iter();
        let drained = drained.filter(|one| lookup(one, "drained").as_bool() == Some(true));
        let left = drained
            .filter_map(|one| lookup(one, "in_flight").as_u64())
            .sum();
        if left == 0 || Instant::now() >= end {
            return Ok(left);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        let name = lookup(&service, "name")
            .as_str()
            .unwrap_or_default()
            .to_owned();
        service = find(operator, &name).await?;
    }
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

/// Who of the cluster offers it.
fn members(service: &Value) -> String {
    let endpoints = endpoints(service);
    let members = endpoints
        .iter()
        .filter_map(|one| one.get("member")?.as_str());
    let members: std::collections::BTreeSet<&str> = members.collect();
    members.into_iter().collect::<Vec<_>>().join(",")
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
