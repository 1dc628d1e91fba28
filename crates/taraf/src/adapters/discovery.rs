//! [pure] Who answers for each service: what was configured goes before what was started here.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use taraf_service::{Directory, Endpoint, InvalidServiceName, ServiceName};

/// The directory of services that are configured and of those that this process started, which all
/// answer at `here`.
pub(crate) fn directory<'a>(
    configured: &BTreeMap<String, Vec<SocketAddr>>,
    started: impl IntoIterator<Item = &'a ServiceName>,
    here: SocketAddr,
) -> Result<Directory, InvalidServiceName> {
    let started = started
        .into_iter()
        .map(|name| (name.clone(), vec![Endpoint::new(here)]));
    let mut directory: Directory = started.collect();
    for (name, addresses) in configured {
        let endpoints = addresses.iter().copied().map(Endpoint::new).collect();
        directory = directory.with(ServiceName::new(name)?, endpoints);
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_endpoints_take_the_place_of_a_started_service() {
        let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let there: SocketAddr = "127.0.0.1:2".parse().unwrap();
        let configured = BTreeMap::from([("rates".to_owned(), vec![there])]);
        let started = ["rates", "companies"].map(|name| ServiceName::new(name).unwrap());
        let directory = directory(&configured, &started, here).unwrap();
        let address = |name: &str| directory.get(name).unwrap()[0].address;
        assert_eq!((address("rates"), address("companies")), (there, here));
    }

    #[test]
    fn a_service_may_be_known_without_endpoints() {
        let configured = BTreeMap::from([("later".to_owned(), Vec::new())]);
        let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let directory = directory(&configured, [], here).unwrap();
        assert!(directory.get("later").unwrap().is_empty());
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        let configured = BTreeMap::from([("No Name".to_owned(), Vec::new())]);
        let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert!(directory(&configured, [], here).is_err());
    }
}
