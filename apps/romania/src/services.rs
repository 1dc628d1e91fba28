//! Starts the three services, together or one alone.

use taraf_base::Tasks;
use taraf_service::{Client, Descriptor, Service};

use crate::config::Config;
use crate::error::Error;
use crate::{companies, document, rates, validate};

/// Names of the services, in the order in which they start.
pub const NAMES: [&str; 3] = ["companies", "rates", "validate"];

/// What a service says of itself, without starting it.
#[must_use]
pub fn descriptor(name: &str) -> Option<Descriptor> {
    let descriptor = match name {
        "companies" => document::companies(),
        "rates" => document::rates(),
        "validate" => document::validate(),
        _ => return None,
    };
    descriptor.ok()
}

/// Starts all services over one client to the outside.
///
/// # Errors
/// When a setting cannot be used or the trade register's files cannot be read.
pub async fn services(
    config: Config,
    client: Client,
    tasks: &Tasks,
) -> Result<Vec<Service>, Error> {
    let mut all = Vec::with_capacity(NAMES.len());
    for name in NAMES {
        all.push(service(name, config.clone(), client.clone(), tasks).await?);
    }
    Ok(all)
}

/// Starts one service.
///
/// # Errors
/// As [`services`], and when there is no service of that name.
pub async fn service(
    name: &str,
    config: Config,
    client: Client,
    tasks: &Tasks,
) -> Result<Service, Error> {
    match name {
        "companies" => companies::start(&config, client, tasks),
        "rates" => rates::start(&config, client, tasks),
        "validate" => validate::start(config.clock),
        other => Err(Error::NoSuchService(other.to_owned())),
    }
}
