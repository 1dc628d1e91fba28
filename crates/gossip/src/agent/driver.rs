//! The loop of an agent: what comes from the network into the machine, what the machine asks for out.

use std::sync::Arc;

use taraf_base::{Tasks, random_bytes, random_u64};

use super::convert;
use super::files::{self, Files};
use super::shared::{Ended, Shared, unix_ms};
use super::{Error, Handle, Settings, advertised};
use crate::cluster::{Cluster, Output};
use crate::moment::Moment;
use crate::net::{Input, Network, Sockets};
use crate::rpc::Reply;
use crate::serf::Answer;

/// How many packets are taken before what they led to is performed. memberlist's hand-off queue is as long.
const PACKETS_AT_ONCE: usize = 1024;

/// Starts an agent whose tasks belong to `tasks`: when those stop, it stops without leaving.
///
/// # Errors
/// When its address is not to be had, its tags do not fit, or its files cannot be used.
pub fn start(mut settings: Settings, tasks: &Tasks) -> Result<Handle, Error> {
    let sockets = Sockets::bind(settings.bind)?;
    let address = advertised(sockets.local_address(), settings.advertise)?;
    settings.cluster.swim.address = address.address;
    settings.cluster.swim.port = address.port;
    let mut found = files::find(&mut settings)?;
    let snapshot = found.snapshot.take();
    let tasks = tasks.child();
    let name = settings.cluster.swim.name.clone();
    let streams_max = settings.cluster.swim.streams_max;
    let network = Network::new(sockets, streams_max, tasks.clone());
    let now = network.now();
    let cluster = Cluster::new(
        settings.cluster,
        snapshot,
        random_u64(),
        random_bytes(),
        now,
    )?;
    let port = address.port;
    let shared = Arc::new(Shared::new(
        cluster,
        name,
        network.begun(),
        port,
        tasks.clone(),
    ));
    let files = found.write(&shared, &tasks);
    let driver = Driver {
        shared: Arc::clone(&shared),
        network,
        files,
    };
    tasks.spawn("gossip", driver.run());
    Ok(Handle::new(shared))
}

struct Driver {
    shared: Arc<Shared>,
    network: Network,
    files: Files,
}

impl Driver {
    async fn run(mut self) {
        let stopping = self.shared.tasks.token();
        loop {
            let deadline = self.perform();
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                () = self.shared.wake.notified() => {}
                input = self.network.next(deadline) => self.take(input),
            }
        }
        let now = self.network.now();
        self.shared.cluster().stop(now);
        self.perform();
    }

    /// Hands over what came, all packets that wait behind it, and what is due.
    fn take(&mut self, input: Input) {
        let mut cluster = self.shared.cluster();
        cluster.set_clock(unix_ms());
        let now = self.network.now();
        match input {
            Input::Packet { from, bytes } => cluster.packet(now, from, bytes),
            Input::Connected { from, connection } => {
                if let Some(id) = cluster.stream_accepted(now, from) {
                    self.network.admit(id, connection);
                }
            }
            Input::StreamBytes { id, bytes } => cluster.stream_bytes(now, id, &bytes),
            Input::StreamEnded { id, why } => cluster.stream_ended(now, id, why.as_deref()),
            Input::StreamRefused { id, why } => cluster.stream_refused(now, id, &why),
            Input::Deadline => {}
        }
        // Packets come before deadlines: after a pause of the whole process the refutations that wait must be heard
        // before anybody is declared dead. And a flood of them must not keep deadlines from their time.
        for _ in 0..PACKETS_AT_ONCE {
            let Some((from, bytes)) = self.network.next_packet() else {
                break;
            };
            cluster.packet(self.network.now(), from, bytes);
        }
        if cluster.next_deadline().is_some_and(|due| due <= now) {
            cluster.timer(now);
        }
    }

    /// Performs all that the machine asks for; when it wants to be woken next.
    fn perform(&mut self) -> Option<Moment> {
        let shared = Arc::clone(&self.shared);
        let mut have_members_changed = false;
        let mut cluster = shared.cluster();
        let now = self.network.now();
        while let Some(output) = cluster.output() {
            match output {
                Output::Network(output) => {
                    // The cluster keeps what is for itself.
                    let _none = self.network.perform(output);
                }
                Output::MembersChanged => have_members_changed = true,
                Output::Event(event) => {
                    let event = convert::event(&event, &shared);
                    // Nobody may be listening.
                    drop(shared.events.send(Arc::new(event)));
                }
                Output::Snapshot(effect) => {
                    if !self.files.snapshot(effect) {
                        cluster.snapshot_failed(now);
                    }
                }
                Output::Keyring { query, keys } => {
                    if !self.files.keyring(query, keys) {
                        let error = "too much waits to be written".to_owned();
                        cluster.keyring_written(now, query, Err(error));
                    }
                }
                Output::Joined { token, result } => shared.ended(token, Ended::Joined(result)),
                Output::Done { token, result } => shared.ended(token, Ended::Done(result)),
                Output::Keys { token, outcome } => shared.ended(token, Ended::Keys(outcome)),
                Output::Answer { query, answer } => {
                    let reply = match answer {
                        Answer::Ack(from) => Some(Reply::Ack(from)),
                        Answer::Response(from, payload) => Some(Reply::Response(from, payload)),
                        Answer::Done => None,
                    };
                    shared.answered(query, reply);
                }
                // Who asked for the leave knows, and decides what follows.
                Output::Left => {}
                Output::Quit => shared.tasks.stop(),
            }
        }
        if have_members_changed {
            shared.members.send_replace(Arc::new(cluster.members()));
        }
        cluster.next_deadline()
    }
}
