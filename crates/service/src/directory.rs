//! [pure] Who answers for each service: the snapshot that membership publishes and pools follow.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ServiceName;

/// How an endpoint is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// HTTP/1.1 without TLS.
    #[default]
    Http1,
    /// HTTP/2 without TLS, which the endpoint is known to speak (RFC 9113 §3.3).
    H2c,
    /// TLS; HTTP/2 when the endpoint agrees to it, else HTTP/1.1. The certificate must be for this
    /// name, or for the address without one.
    Tls(Option<Arc<str>>),
}

/// An address where one instance of a service answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share of the calls relative to the others; 0 takes none while another can.
    #[serde(default = "weight_default")]
    pub weight: u32,
    /// How it is spoken to.
    #[serde(default)]
    pub transport: Transport,
    /// Where it stands, for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Arc<str>>,
    /// What it runs, for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// Whether it takes no new calls, by an operator's word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
}

const fn weight_default() -> u32 {
    1
}

impl Endpoint {
    /// An endpoint of weight 1.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            weight: 1,
            transport: Transport::Http1,
            zone: None,
            version: None,
            drained: false,
        }
    }
}

/// All services' endpoints at one moment.
///
/// It crosses borders as a whole (`watch::Receiver<Arc<Directory>>`), so a late reader is never
/// wrong. An address appears once in a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    services: BTreeMap<ServiceName, Arc<[Endpoint]>>,
}

impl Directory {
    /// A directory without services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same directory with these endpoints for a service, in place of those that it had. Of
    /// several with one address the first stays.
    #[must_use]
    pub fn with(mut self, name: ServiceName, endpoints: Vec<Endpoint>) -> Self {
        let mut kept: Vec<Endpoint> = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            if kept.iter().all(|other| other.address != endpoint.address) {
                kept.push(endpoint);
            }
        }
        self.services.insert(name, kept.into());
        self
    }

    /// The same directory without a service.
    #[must_use]
    pub fn without(mut self, name: &ServiceName) -> Self {
        self.services.remove(name);
        self
    }

    /// The same directory in which a service's endpoints are spoken to in this way.
    #[must_use]
    pub fn speaking(mut self, name: &str, transport: &Transport) -> Self {
        if let Some(endpoints) = self.services.get_mut(name) {
            let speaking = |endpoint: &Endpoint| Endpoint {
                transport: transport.clone(),
                ..endpoint.clone()
            };
            *endpoints = endpoints.iter().map(speaking).collect();
        }
        self
    }

    /// The endpoints of a service; `None` when nobody ever offered it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<[Endpoint]>> {
        self.services.get(name)
    }

    /// The names of all services, sorted.
    pub fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.keys()
    }

    /// All services with their endpoints, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &Arc<[Endpoint]>)> {
        self.services.iter()
    }
}

impl FromIterator<(ServiceName, Vec<Endpoint>)> for Directory {
    fn from_iter<I: IntoIterator<Item = (ServiceName, Vec<Endpoint>)>>(services: I) -> Self {
        services
            .into_iter()
            .fold(Self::new(), |directory, (name, endpoints)| {
                directory.with(name, endpoints)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_appears_once_in_a_service() {
        let address = "127.0.0.1:1".parse().unwrap();
        let rates = ServiceName::new("rates").unwrap();
        let twice = vec![Endpoint::new(address), Endpoint::new(address)];
        let directory = Directory::new().with(rates.clone(), twice);
        assert_eq!(directory.get("rates").unwrap().len(), 1);
        assert!(directory.get("other").is_none());
        assert_eq!(directory.names().collect::<Vec<_>>(), [&rates]);
        assert!(directory.without(&rates).get("rates").is_none());
    }
}
