//! The node as a member of a cluster: started with what it offers, followed for what others offer, left at the end.

mod keys;
pub(crate) mod lines;
mod metrics;
mod served;
mod settings;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use taraf_base::{Secret, Tasks};
use taraf_gossip::agent::{self, Handle};
use taraf_gossip::cluster::{Members, Seen};
use taraf_gossip::handlers::{self, Handlers, Spec};
use taraf_gossip::rpc::{Agent as _, Bound, Lines, Listener, Server, Settings as Access};
use taraf_gossip::serf::Tags;
use taraf_service::metrics::Registry;
use tokio::sync::watch;

use crate::adapters::discovery::Reading;
use crate::config::Gossip;
use crate::config::gossip::RPC_LISTEN;
use crate::node::data;

pub(crate) use keys::KEYRING;
pub(crate) use served::Served;
use settings::check_tags;

/// How long a leave may take: two rounds of gossip, and Serf's delay after them.
const LEAVE_LIMIT: Duration = Duration::from_secs(6);

/// A member that runs.
pub(crate) struct Membership {
    served: Served,
    rpc: Option<SocketAddr>,
    key: Option<Secret>,
    reading: Reading,
    /// What the settings said last that it says of itself.
    tags: Mutex<Tags>,
    /// The name of its cluster; empty for none.
    cluster: String,
    tasks: Tasks,
}

/// What a member is started with.
pub(crate) struct Start<'a> {
    pub(crate) config: &'a Gossip,
    /// Where its keys and its rejoin file lie; they are kept in memory only without it.
    pub(crate) folder: Option<&'a Path>,
    /// What it is called where the configuration does not say it, and what makes that unique.
    pub(crate) role: &'a str,
    pub(crate) tags: Tags,
    /// Where its log lines are kept for those who monitor it.
    pub(crate) lines: Lines,
}

impl Membership {
    /// Becomes a member; nobody is joined yet.
    ///
    /// # Errors
    /// When an address is taken, the tags do not fit, or a file cannot be used; says which.
    pub(crate) async fn start(start: Start<'_>, tasks: &Tasks) -> anyhow::Result<Self> {
        let Start { config, folder, .. } = start;
        let handlers = Spec::parse_all(&config.handlers);
        let handlers = handlers.context("gossip.handlers")?;
        check_tags(&config.cluster, &start.tags)?;
        let keys = keys::of(config, folder)?;
        let key = keys.key.clone();
        let made = settings::make(&start, keys)?;
        let suspicion_mult = made.cluster.swim.suspicion_mult;
        let handle = bind(made, config, &start, tasks)?;
        let served = Served::new(handle, None);
        let how = handlers::Settings {
            time_max: config.handler_timeout,
            ..handlers::Settings::default()
        };
        served.set_handlers(Handlers::start(served.clone(), handlers, how, tasks));
        let rpc = if config.rpc.enabled {
            Some(serve_rpc(config, &served, start.lines, tasks).await?)
        } else {
            None
        };
        let name = served.name();
        tracing::info!(name = %name, address = %served.handle().address(), "a member");
        Ok(Self {
            reading: Reading {
                me: name,
                suspicion_mult,
            },
            tags: Mutex::new(start.tags),
            cluster: config.cluster.clone(),
            served,
            rpc,
            key,
            tasks: tasks.clone(),
        })
    }

    /// The agent, to ask and to tell.
    pub(crate) const fn served(&self) -> &Served {
        &self.served
    }

    pub(crate) const fn handle(&self) -> &Handle {
        self.served.handle()
    }

    /// Where others reach it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.handle().address()
    }

    /// Where Serf's RPC answers, if it does.
    pub(crate) const fn rpc(&self) -> Option<SocketAddr> {
        self.rpc
    }

    /// The gossip key in base64 with which it began, where there is one.
    pub(crate) const fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// How its members are to be read.
    pub(crate) const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// What it counts.
    pub(crate) fn metrics(&self) -> Registry {
        metrics::of(self.handle())
    }

    pub(crate) fn members(&self) -> watch::Receiver<Arc<Members>> {
        self.handle().watch_members()
    }

    /// Says these tags of itself from now on, and no others, if the settings say others than before.
    ///
    /// # Errors
    /// When they do not fit; the old ones stay.
    pub(crate) async fn set_tags(&self, tags: Tags) -> anyhow::Result<()> {
        check_tags(&self.cluster, &tags)?;
        let said = |tags: Tags| {
            let mut said = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *said, tags)
        };
        let before = said(tags.clone());
        if before == tags {
            return Ok(());
        }
        let set = self.served.set_tags(tags.0).await;
        if set.is_err() {
            said(before);
        }
        set.context("failed to change the tags")
    }

    /// Takes other handlers.
    ///
    /// # Errors
    /// When one cannot be read; those that are there stay.
    pub(crate) fn set_handlers(&self, written: &[String]) -> anyhow::Result<()> {
        let specs = Spec::parse_all(written).context("gossip.handlers")?;
        if let Some(handlers) = self.served.handlers() {
            handlers.replace(specs);
        }
        Ok(())
    }

    /// Joins those that must be reached, and begins to try those that may be reached later.
    ///
    /// # Errors
    /// When none of the former answers.
    pub(crate) async fn join(&self, config: &Gossip) -> anyhow::Result<()> {
        if !config.join.is_empty() {
            let joined = self.served.join(config.join.clone(), false).await;
            if let Some(why) = joined.error {
                anyhow::bail!(
                    "failed to join a cluster (gossip.join): {}",
                    one_line(&why.0)
                );
            }
            tracing::info!(members = joined.count, "joined a cluster");
        }
        if !config.retry_join.is_empty() {
            let (served, addresses) = (self.served.clone(), config.retry_join.clone());
            let (interval, token) = (config.retry_interval, self.tasks.token());
            self.tasks.spawn("retry join", async move {
                let tried = try_to_join(&served, addresses, interval);
                token.run_until_cancelled(tried).await;
            });
        }
        Ok(())
    }

    /// Tells the others that we go: from here on their pools send no more calls here.
    pub(crate) async fn leave(&self) {
        match tokio::time::timeout(LEAVE_LIMIT, self.served.leave()).await {
            Ok(Ok(())) => tracing::info!("left the cluster"),
            Ok(Err(why)) => tracing::warn!(error = %why, "did not leave the cluster in good order"),
            Err(_elapsed) => tracing::warn!("others may not have heard that we leave"),
        }
    }
}

/// Starts the agent, at another port when nobody asked for the one that is taken.
fn bind(
    mut made: agent::Settings,
    config: &Gossip,
    start: &Start<'_>,
    tasks: &Tasks,
) -> anyhow::Result<Handle> {
    let error = match agent::start(made.clone(), tasks) {
        Ok(handle) => return Ok(handle),
        Err(error) => error,
    };
    let is_taken = matches!(&error, agent::Error::Bind(bind) if is_in_use(&bind.source));
    if config.bind.is_some() || !is_taken {
        return Err(refused(error, made.bind));
    }
    let wanted = made.bind;
    made.bind.set_port(0);
    settings::rename(&mut made, config, start.role);
    let handle = agent::start(made, tasks).map_err(|error| refused(error, wanted))?;
    tracing::warn!(%wanted, taken = %handle.address(),
        "another program has the port of gossip: set gossip.bind to choose one");
    Ok(handle)
}

/// What an operator can do about a member that does not start.
fn refused(error: agent::Error, bind: SocketAddr) -> anyhow::Error {
    match error {
        agent::Error::Bind(bind_error) => anyhow::Error::new(bind_error.source)
            .context(format!("failed to listen on {bind} for gossip")),
        other => anyhow::Error::new(other).context("failed to become a member of a cluster"),
    }
}

fn is_in_use(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::AddrInUse
}

async fn serve_rpc(
    config: &Gossip,
    served: &Served,
    lines: Lines,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let rpc = &config.rpc;
    let key = match &rpc.auth_key_file {
        Some(file) => data::read_secret(file)?
            .with_context(|| format!("there is no key of Serf's RPC in {}", file.display()))?,
        None => Secret::default(),
    };
    let wanted = rpc.listen.unwrap_or(RPC_LISTEN);
    let failed = "failed to listen for Serf's RPC";
    let mut listener = Listener::tcp(&wanted.to_string()).await;
    if rpc.listen.is_none() && listener.is_err() {
        let other = SocketAddr::new(wanted.ip(), 0);
        listener = Listener::tcp(&other.to_string()).await;
        tracing::warn!(%wanted, "another program has the port of Serf's RPC: set gossip.rpc.listen to choose one");
    }
    let listener = listener.context(failed)?;
    let address = match listener.bound() {
        Bound::Tcp(address) => address,
        Bound::Local(_) => wanted,
    };
    let access = Access {
        key,
        users: rpc.socket_users.clone(),
        ..Access::default()
    };
    let server = Server::new(served.clone(), lines, access);
    server.listen(listener, tasks);
    if let Some(path) = &rpc.socket {
        server.listen(Listener::local(path).context(failed)?, tasks);
    }
    Ok(address)
}

async fn try_to_join(served: &Served, addresses: Vec<String>, interval: Duration) {
    loop {
        let joined = served.join(addresses.clone(), false).await;
        let Some(why) = joined.error else {
            tracing::info!(members = joined.count, "joined a cluster");
            return;
        };
        let error = one_line(&why.0);
        tracing::warn!(error, again_in = ?interval, "nobody of gossip.retry_join answers");
        tokio::time::sleep(interval).await;
    }
}

/// What is thought of a member in a word: Serf's, or that somebody doubts it.
pub(crate) fn word(seen: &Seen) -> &'static str {
    match seen.member.status.word() {
        "alive" if seen.accusers > 0 => "suspect",
        word => word,
    }
}

/// Serf's lists of errors have a line for each.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}
