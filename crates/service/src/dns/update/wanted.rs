//! [pure] What a zone should hold: names of nodes and services by the templates of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::rr::Name;

use super::super::names::{Instance, Names, Tags};
use super::config::Config;
use super::error::Error;
use super::mark::{self, Datum};

/// Most names that are published in one zone, as the list of them must fit into one answer.
pub(super) const NAMES_MAX: usize = 1_000;
/// Most records of one name, as the mark of them must fit into one message, old and new.
pub(super) const RECORDS_MAX: usize = 128;

/// Who takes calls, and who takes them only when none of those does (RFC 2782).
const PRIORITY: u16 = 1;
const PRIORITY_OF_LAST_RESORT: u16 = 2;

/// What each name should have.
pub(super) type Wanted = BTreeMap<Name, BTreeSet<Datum>>;

/// What is published and how it is called.
#[derive(Clone, Debug)]
pub(super) struct Templates {
    zone: Name,
    node: String,
    service: String,
    srv: String,
    services: Vec<String>,
    tags: BTreeMap<String, String>,
}

impl Templates {
    /// # Errors
    /// When the zone is no name.
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let wrong = |_| Error::Setting {
            setting: "zone",
            why: format!("`{}` is no name of a zone", config.zone),
        };
        let mut zone = Name::from_ascii(&config.zone).map_err(wrong)?;
        zone.set_fqdn(true);
        Ok(Self {
            zone: zone.to_lowercase(),
            node: config.node.clone(),
            service: config.service.clone(),
            srv: config.srv.clone(),
            services: config.services.clone(),
            tags: config.tags.clone(),
        })
    }

    pub(super) const fn zone(&self) -> &Name {
        &self.zone
    }

    /// What the zone should hold, and what could not be published, for people.
    pub(super) fn wanted(&self, names: &Names) -> (Wanted, Vec<String>) {
        let mut wanting = Wanting {
            templates: self,
            wanted: Wanted::new(),
            left_out: Vec::new(),
        };
        for node in names.nodes().filter(|node| node.is_alive) {
            if !self.node.is_empty() && self.carries(&node.tags) {
                let data = node.addresses.iter().copied().map(Datum::from);
                wanting.add(&self.node.replace("{node}", &node.name), data);
            }
        }
        for (service, instances) in names.services() {
            if self.services.is_empty() || self.services.iter().any(|one| one == service.as_str()) {
                wanting.add_service(service.as_str(), instances, names);
            }
        }
        wanting.finish()
    }

    fn carries(&self, tags: &Tags) -> bool {
        self.tags
            .iter()
            .all(|(key, value)| tags.get(key) == Some(value))
    }

    /// The name below the zone; none for what is no name of a host.
    fn name(&self, relative: &str) -> Option<Name> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !relative.chars().all(is_plain) {
            return None;
        }
        let name = Name::from_ascii(relative.to_ascii_lowercase()).ok()?;
        let name = name.append_domain(&self.zone).ok()?;
        // Its mark must have a name too.
        mark::place(&name).map(|_| name)
    }
}

struct Wanting<'a> {
    templates: &'a Templates,
    wanted: Wanted,
    left_out: Vec<String>,
}

impl Wanting<'_> {
    fn add_service(&mut self, service: &str, instances: &[Instance], names: &Names) {
        let templates = self.templates;
        let taken = |one: &&Instance| one.is_alive && templates.carries(&one.tags);
        let taken: Vec<&Instance> = instances.iter().filter(taken).collect();
        if !templates.service.is_empty() {
            // An address has no weight: those that should be called last are left out.
            let is_first = |one: &&Instance| one.weight > 0;
            let has_first = taken.iter().any(is_first);
            let told = taken.iter().filter(|one| !has_first || is_first(one));
            let data = told.map(|one| Datum::from(one.address));
            self.add(&templates.service.replace("{service}", service), data);
        }
        if !templates.srv.is_empty() {
            let data: Vec<Datum> = taken
                .iter()
                .filter_map(|one| self.place(one, names))
                .collect();
            self.add(&templates.srv.replace("{service}", service), data);
        }
    }

    /// The place of an instance: at its node's name where that is published with this address alone, else at a name
    /// that is made for the address.
    fn place(&mut self, instance: &Instance, names: &Names) -> Option<Datum> {
        let templates = self.templates;
        let node = instance.node.as_deref().and_then(|name| names.node(name));
        let node = node.filter(|node| {
            let is_published = node.is_alive && templates.carries(&node.tags);
            !templates.node.is_empty() && is_published && node.addresses == [instance.address]
        });
        let target =
            node.and_then(|node| templates.name(&templates.node.replace("{node}", &node.name)));
        let target = match target {
            Some(target) => target,
            None => {
                let relative = match instance.address {
                    IpAddr::V4(address) => format!("{:08x}.addr", u32::from(address)),
                    IpAddr::V6(address) => format!("{:032x}.addr", u128::from(address)),
                };
                self.add(&relative, [Datum::from(instance.address)]);
                templates.name(&relative)?
            }
        };
        Some(Datum::Srv {
            priority: match instance.weight {
                0 => PRIORITY_OF_LAST_RESORT,
                _ => PRIORITY,
            },
            weight: u16::try_from(instance.weight).unwrap_or(u16::MAX),
            port: instance.port,
            target,
        })
    }

    fn add(&mut self, relative: &str, data: impl IntoIterator<Item = Datum>) {
        let mut data = data.into_iter().filter(Datum::fits).peekable();
        if data.peek().is_none() {
            return;
        }
        let Some(name) = self.templates.name(relative) else {
            self.left_out
                .push(format!("`{relative}` is no name of a host"));
            return;
        };
        if !self.wanted.contains_key(&name) && self.wanted.len() >= NAMES_MAX {
            self.left_out
                .push(format!("`{relative}` is beyond {NAMES_MAX} names"));
            return;
        }
        let records = self.wanted.entry(name).or_default();
        for datum in data {
            if records.len() < RECORDS_MAX {
                records.insert(datum);
            } else if !records.contains(&datum) {
                self.left_out
                    .push(format!("`{relative}` has more than {RECORDS_MAX} records"));
                return;
            }
        }
    }

    fn finish(self) -> (Wanted, Vec<String>) {
        (self.wanted, self.left_out)
    }
}
