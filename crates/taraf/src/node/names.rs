//! The node as a name server, and as one that keeps the records of another.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use taraf_base::{Tasks, Timestamp};
use taraf_gossip::cluster::Members;
use taraf_service::dns::update::{Publisher, Status};
use taraf_service::dns::{Names, Server};
use taraf_service::metrics::Registry;
use tokio::sync::watch;

use super::Core;
use crate::adapters::names;
use crate::config::Config;

/// What answers for names and what publishes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    pub(crate) server: Option<Server>,
    pub(crate) publishers: Vec<Publisher>,
}

/// Starts what the settings name.
pub(super) async fn start(config: &Config, core: &Core, tasks: &Tasks) -> anyhow::Result<Naming> {
    let mut naming = Naming::default();
    let members = core.membership.as_ref().map(|own| own.members());
    let members = members.unwrap_or_else(|| watch::channel(Arc::default()).1);
    if config.dns.enabled {
        let answered = follow_answered(members.clone(), core, tasks);
        naming.server = Some(Server::start(&config.dns, answered, tasks).await?);
    }
    if config.dns.update.is_empty() {
        return Ok(naming);
    }
    let Some(membership) = &core.membership else {
        anyhow::bail!("dns.update: names are published of a cluster, and gossip.enabled is false");
    };
    let me = membership.reading().me.text().into_owned();
    let published = follow_published(members, tasks);
    for (name, settings) in &config.dns.update {
        let publisher = Publisher::start(name, &me, settings, published.clone(), tasks);
        let publisher = publisher.with_context(|| format!("dns.update.{name}"))?;
        naming.publishers.push(publisher);
    }
    Ok(naming)
}

/// Numbers of snapshots that grow, over restarts too.
struct Serial(u32);

impl Serial {
    fn begin() -> Self {
        // Serial numbers of zones go round (RFC 1982), as the seconds of these bits do.
        let seconds = Timestamp::now().since(Timestamp::EPOCH).as_secs();
        Self(u32::try_from(seconds & u64::from(u32::MAX)).unwrap_or_default())
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}

fn follow_answered(
    mut members: watch::Receiver<Arc<Members>>,
    core: &Core,
    tasks: &Tasks,
) -> watch::Receiver<Arc<Names>> {
    let mut directory = core.directories.subscribe();
    let mut serial = Serial::begin();
    let first = names::answered(serial.next(), &members.borrow(), &directory.borrow());
    let (sender, receiver) = watch::channel(Arc::new(first));
    let token = tasks.token();
    tasks.spawn("names answered", async move {
        let follow = async {
            loop {
                // Both may be dropped: what has changed is seen the next time. Where nobody is a member the senders of
                // members are gone, which is no change.
                tokio::select! {
                    Ok(()) = members.changed() => {}
                    Ok(()) = directory.changed() => {}
                    else => return,
                }
                let next = {
                    let (members, directory) =
                        (members.borrow_and_update(), directory.borrow_and_update());
                    names::answered(serial.next(), &members, &directory)
                };
                sender.send_replace(Arc::new(next));
            }
        };
        token.run_until_cancelled(follow).await;
    });
    receiver
}

fn follow_published(
    mut members: watch::Receiver<Arc<Members>>,
    tasks: &Tasks,
) -> watch::Receiver<Arc<Names>> {
    let mut serial = Serial::begin();
    let first = names::published(serial.next(), &members.borrow());
    let (sender, receiver) = watch::channel(Arc::new(first));
    let token = tasks.token();
    tasks.spawn("names published", async move {
        let follow = async {
            while members.changed().await.is_ok() {
                let next = names::published(serial.next(), &members.borrow_and_update());
                sender.send_replace(Arc::new(next));
            }
        };
        token.run_until_cancelled(follow).await;
    });
    receiver
}

impl Naming {
    /// Adds to a ready line where names are asked for, if anywhere.
    pub(super) fn add_to(&self, line: &mut Value) {
        let mut addresses = self.server.iter().flat_map(Server::addresses);
        if let Some(address) = addresses.next() {
            line["dns"] = address.to_string().into();
        }
    }

    /// How it stands, for operators.
    pub(crate) fn item(&self) -> Value {
        let update = |publisher: &Publisher| {
            let status = publisher.status();
            let item = json!({
                "names": status.names,
                "taken": status.taken,
                "left_out": status.left_out,
                "error": status.error,
            });
            (publisher.name().to_owned(), item)
        };
        let updates: Map<_, _> = self.publishers.iter().map(update).collect();
        json!({
            "listen": self.server.as_ref().map_or(&[][..], Server::addresses),
            "updates": updates,
        })
    }

    /// What names count.
    pub(super) fn metrics(&self) -> Registry {
        let registry = Registry::new();
        if let Some(server) = self.server.clone() {
            registry.counted(
                "taraf_dns_packets_total",
                "Questions for names over UDP and TCP, those beyond their client's rate, and packets that were no questions.",
                &["what"],
                move || server.counters().rows().map(row).into(),
            );
        }
        let all = Arc::new(self.publishers.clone());
        for (metric, help, read) in PUBLISHED {
            let all = Arc::clone(&all);
            registry.asked(metric, help, &["update"], move || {
                let rows = all.iter().map(|one| row((one.name(), read(&one.status()))));
                rows.collect()
            });
        }
        registry
    }
}

/// A metric of each publisher: its name, what it means, how it is read.
type Published = (&'static str, &'static str, fn(&Status) -> u64);

const PUBLISHED: [Published; 3] = [
    (
        "taraf_dns_published_names",
        "Names that are published to a server elsewhere.",
        |status| status.names as u64,
    ),
    (
        "taraf_dns_taken_names",
        "Names that belong to somebody else there, and are left alone.",
        |status| status.taken.len() as u64,
    ),
    (
        "taraf_dns_update_failing",
        "1 while the server elsewhere does not have what it should.",
        |status| u64::from(status.error.is_some()),
    ),
];

fn row((label, count): (&str, u64)) -> (Vec<String>, i64) {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    (vec![label.to_owned()], count)
}
