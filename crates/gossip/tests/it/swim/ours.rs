//! A member of ours that is nothing but membership, on real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use taraf_base::{Rng, Tasks, random_bytes, random_u64};
use taraf_gossip::moment::Moment;
use taraf_gossip::net::{Input, Network, Sockets};
use taraf_gossip::swim::{Config, Delegate, Joined, Member, Name, Output, State, Swim, Token};
use taraf_gossip::wire::keyring::Keyring;
use taraf_gossip::wire::{Address, Envelope};
use tokio::sync::{mpsc, oneshot, watch};

use super::{PORT, address, eventually};

/// A layer above that has tags and nothing else.
struct Plain {
    meta: Bytes,
}

impl Delegate for Plain {
    fn meta(&self) -> Bytes {
        self.meta.clone()
    }

    fn message(&mut self, _now: Moment, _body: &Bytes, _from: SocketAddr) {}

    fn broadcasts(&mut self, _now: Moment, _overhead: usize, _room: usize, _into: &mut Vec<Bytes>) {
    }

    fn local_state(&mut self, _is_join: bool) -> Bytes {
        Bytes::new()
    }

    fn merge_state(&mut self, _now: Moment, _state: &Bytes, _is_join: bool) {}

    fn ack_payload(&mut self) -> Bytes {
        Bytes::new()
    }

    fn ping_complete(&mut self, _now: Moment, _node: &Name, _rtt: Duration, _payload: &Bytes) {}

    fn member_joined(&mut self, _now: Moment, _member: &Member) {}

    fn member_left(&mut self, _now: Moment, _member: &Member) {}

    fn member_updated(&mut self, _now: Moment, _member: &Member) {}

    fn conflict(&mut self, _now: Moment, _mine: &Member, _theirs: &Member) {}
}

enum Command {
    Join(Vec<SocketAddr>, oneshot::Sender<Joined>),
    Leave(oneshot::Sender<()>),
    Meta(Bytes, oneshot::Sender<()>),
}

/// A running member. It ends without a word when it is dropped.
pub(super) struct Ours {
    pub(super) address: SocketAddr,
    members: watch::Receiver<Vec<Member>>,
    commands: mpsc::Sender<Command>,
    tasks: Tasks,
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

struct Loop {
    swim: Swim,
    plain: Plain,
    network: Network,
    members: watch::Sender<Vec<Member>>,
    commands: mpsc::Receiver<Command>,
    joining: Option<oneshot::Sender<Joined>>,
    waiting: Option<oneshot::Sender<()>>,
}

impl Loop {
    async fn run(mut self) {
        loop {
            self.perform();
            let deadline = self.swim.next_deadline();
            tokio::select! {
                input = self.network.next(deadline) => self.input(input),
                Some(command) = self.commands.recv() => self.command(command),
            }
            self.members.send_replace(self.swim.members().cloned().collect());
        }
    }

    fn perform(&mut self) {
        while let Some(output) = self.swim.output() {
            match self.network.perform(output) {
                Some(Output::Joined(joined)) => drop(self.joining.take().unwrap().send(joined)),
                Some(Output::Finished(_)) => drop(self.waiting.take().map(|done| done.send(()))),
                _ => {}
            }
        }
    }

    fn input(&mut self, input: Input) {
        let (now, swim, plain) = (self.network.now(), &mut self.swim, &mut self.plain);
        match input {
            Input::Packet { from, bytes } => swim.packet(now, from, bytes, plain),
            Input::Connected { from, connection } => {
                if let Some(id) = swim.stream_accepted(now, from) {
                    self.network.admit(id, connection);
                }
            }
            Input::StreamBytes { id, bytes } => swim.stream_bytes(now, id, &bytes, plain),
            Input::StreamEnded { id, why } => swim.stream_ended(now, id, why.as_deref(), plain),
            Input::Deadline => swim.timer(now, plain),
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.network.now();
        match command {
            Command::Join(addresses, done) => {
                self.joining = Some(done);
                self.swim.join(now, Token(1), addresses, &mut self.plain);
            }
            Command::Leave(done) => {
                self.waiting = Some(done);
                self.swim.leave(now, Token(2), &mut self.plain);
            }
            Command::Meta(meta, done) => {
                self.waiting = Some(done);
                self.plain.meta = meta;
                self.swim.update_meta(now, Token(3), &mut self.plain);
            }
        }
    }
}

impl Ours {
    pub(super) fn start(name: &str, key: Option<&[u8]>, compress: bool) -> Self {
        Self::start_at(name, SocketAddr::new(address(), PORT), key, compress)
    }

    pub(super) fn start_at(
        name: &str,
        address: SocketAddr,
        key: Option<&[u8]>,
        compress: bool,
    ) -> Self {
        let sockets = Sockets::bind(address).unwrap();
        let address = sockets.local_address();
        let mut config = Config::local(Name::from(name), Address::from(address.ip()), address.port());
        config.compress = compress;
        let keyring = key.map(|key| Keyring::new(key).unwrap());
        let envelope = Envelope::new(b"", keyring).unwrap();
        // No tags.
        let mut plain = Plain { meta: Bytes::from_static(b"\xff\x80") };
        let tasks = Tasks::new();
        let network = Network::new(sockets, config.streams_max, tasks.clone());
        let (now, chance) = (network.now(), Rng::new(random_u64()));
        let swim = Swim::new(config, envelope, chance, random_bytes(), now, &mut plain);
        let (members_in, members) = watch::channel(Vec::new());
        let (commands, commands_out) = mpsc::channel(1);
        let driver = Loop {
            swim,
            plain,
            network,
            members: members_in,
            commands: commands_out,
            joining: None,
            waiting: None,
        };
        let token = tasks.token();
        tasks.spawn("gossip", async move {
            let _stopped = token.run_until_cancelled(driver.run()).await;
        });
        Self { address, members, commands, tasks }
    }

    pub(super) async fn join(&self, addresses: &[SocketAddr]) -> Joined {
        let (done, joined) = oneshot::channel();
        let command = Command::Join(addresses.to_vec(), done);
        self.commands.send(command).await.unwrap_or_else(|_ended| panic!("the agent has ended"));
        joined.await.unwrap()
    }

    pub(super) async fn leave(&self) {
        let (done, left) = oneshot::channel();
        let command = Command::Leave(done);
        self.commands.send(command).await.unwrap_or_else(|_ended| panic!("the agent has ended"));
        left.await.unwrap();
    }

    pub(super) async fn meta(&self, meta: &'static [u8]) {
        let (done, told) = oneshot::channel();
        let command = Command::Meta(Bytes::from_static(meta), done);
        self.commands.send(command).await.unwrap_or_else(|_ended| panic!("the agent has ended"));
        told.await.unwrap();
    }

    pub(super) fn member(&self, name: &str) -> Option<Member> {
        let members = self.members.borrow();
        members.iter().find(|member| member.name == Name::from(name)).cloned()
    }

    pub(super) async fn until(&self, name: &str, state: State) -> Member {
        eventually(&format!("we see {name} {state:?}"), async || {
            self.member(name).filter(|member| member.state == state)
        })
        .await
    }

    /// Ends it without a word, and gives its address free.
    pub(super) async fn kill(self) -> SocketAddr {
        assert!(self.tasks.drain(super::LIMIT).await.is_empty());
        self.address
    }
}
