//! A running agent as RPC and handlers see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use taraf_base::Secret;
use tokio::sync::{broadcast, mpsc};

use super::shared::Ended;
use super::{Handle, convert};
use crate::cluster::Cluster;
use crate::config::decode_key;
use crate::moment::Moment;
use crate::rpc::event::{Event, Member, Tags};
use crate::rpc::{
    Agent, Answered, Coordinate, Joined, KeyCommand, KeysAnswer, QueryKey, QueryRequest, Refused,
    Stats,
};
use crate::serf::KeyOperation;
use crate::swim::Token;
use crate::wire::Name;

/// How many answers to a query wait for a slow asker.
const REPLIES_MAX: usize = 1024;
/// When the agent ends before a command does.
const STOPPED: &str = "the agent has stopped";

impl Handle {
    async fn done(
        &self,
        command: impl FnOnce(&mut Cluster, Moment, Token) + Send,
    ) -> Result<(), Refused> {
        match self.shared.command(command).await {
            Some(Ended::Done(result)) => result.map_err(|error| Refused(error.to_string())),
            Some(Ended::Joined(_) | Ended::Keys(_)) | None => Err(STOPPED.into()),
        }
    }
}

impl Handle {
    /// Why a key cannot be removed from all members; none if it can.
    ///
    /// Each member refuses to remove the key that it encrypts with itself, and Serf leaves it at that: those that do not
    /// encrypt with it lose it, and understand the others no more. When all encrypt with it, all refuse, as in Serf.
    async fn why_needed(&self, key: &str) -> Option<String> {
        let list = |cluster: &mut Cluster, now, token| {
            cluster.keys(now, token, KeyOperation::List, Secret::new(Vec::new()));
        };
        let Some(Ended::Keys(outcome)) = self.shared.command(list).await else {
            // Whatever it is, the removal itself will meet and tell it.
            return None;
        };
        let using = outcome.primaries.get(key).copied().unwrap_or(0);
        let answered = outcome.responses.saturating_sub(outcome.errors);
        (using > 0 && using < answered).then(|| {
            format!(
                "The key is in use: {using} of {} members encrypt with it. \
                 Have all use another first (keys -use)",
                outcome.nodes
            )
        })
    }
}

impl Agent for Handle {
    fn members(&self) -> Vec<Member> {
        let members = Arc::clone(&self.shared.members.borrow());
        members
            .all
            .iter()
            .map(|seen| convert::member(&seen.member))
            .collect()
    }

    fn name(&self) -> Name {
        self.shared.name.clone()
    }

    async fn join(&self, addresses: Vec<String>, replay: bool) -> Joined {
        self.join_written(addresses, replay).await
    }

    async fn leave(&self) -> Result<(), Refused> {
        self.done(Cluster::leave).await
    }

    fn shutdown(&self) {
        self.shared.tasks.stop();
    }

    async fn force_leave(&self, node: Name, prune: bool) -> Result<(), Refused> {
        self.done(|cluster, now, token| cluster.force_leave(now, token, &node, prune))
            .await
    }

    async fn user_event(&self, name: Name, payload: Bytes, coalesce: bool) -> Result<(), Refused> {
        let put = |cluster: &mut Cluster, now| cluster.user_event(now, &name, payload, coalesce);
        let result = self.shared.put(put);
        result
            .map(|_time| ())
            .map_err(|error| Refused(error.to_string()))
    }

    async fn query(&self, request: QueryRequest) -> Result<Answered, Refused> {
        let name = request.name.clone();
        let ends_queries = self.shared.cluster().serf().config().ends_queries;
        let (params, payload) = convert::query(request, ends_queries);
        let (to, replies) = mpsc::channel(REPLIES_MAX);
        let shared = &self.shared;
        let put = |cluster: &mut Cluster, now| {
            let asked = cluster.query(now, &name, payload, &params);
            // Still with the machine locked: what it has to say of the query comes after this.
            asked.inspect(|(key, _)| shared.expect(*key, to))
        };
        let (_, deadline) = shared
            .put(put)
            .map_err(|error| Refused(error.to_string()))?;
        let deadline = shared.instant(deadline);
        Ok(Answered { deadline, replies })
    }

    async fn respond(&self, query: QueryKey, payload: Bytes) -> Result<(), Refused> {
        let query = convert::serf_key(query);
        let result = self
            .shared
            .put(|cluster, now| cluster.respond(now, query, payload));
        result.map_err(|error| Refused(error.to_string()))
    }

    async fn change_tags(&self, set: Tags, delete: Vec<String>) -> Result<(), Refused> {
        let change = |cluster: &mut Cluster, now, token| {
            let mut tags = cluster.serf().tags().clone();
            tags.0.retain(|name, _| !delete.contains(name));
            tags.0.extend(set);
            cluster.set_tags(now, token, tags);
        };
        self.done(change).await
    }

    async fn keys(&self, command: KeyCommand) -> KeysAnswer {
        let refused = |why: String| KeysAnswer {
            error: Some(Refused(why)),
            ..KeysAnswer::default()
        };
        let (operation, text) = match command {
            KeyCommand::Install(key) => (KeyOperation::Install, key),
            KeyCommand::Use(key) => (KeyOperation::Use, key),
            KeyCommand::Remove(key) => (KeyOperation::Remove, key),
            KeyCommand::List => (KeyOperation::List, String::new()),
        };
        let key = match decode_key(&text) {
            Ok(key) => Secret::new(key),
            Err(error) => return refused(error.to_string()),
        };
        if operation == KeyOperation::Remove
            && let Some(why) = self.why_needed(&text).await
        {
            return refused(why);
        }
        let ended = self
            .shared
            .command(|cluster, now, token| cluster.keys(now, token, operation, key));
        match ended.await {
            Some(Ended::Keys(outcome)) => convert::keys(&outcome, operation == KeyOperation::List),
            Some(Ended::Done(Err(error))) => refused(error.to_string()),
            Some(Ended::Done(Ok(())) | Ended::Joined(_)) | None => refused(STOPPED.to_owned()),
        }
    }

    fn coordinate(&self, node: &Name) -> Option<Coordinate> {
        let cluster = self.shared.cluster();
        cluster
            .serf()
            .coordinate(node.as_bytes())
            .map(convert::coordinate)
    }

    fn stats(&self) -> Stats {
        let (serf, tags) = {
            let cluster = self.shared.cluster();
            (cluster.stats(), cluster.serf().tags().0.clone())
        };
        let text = |(name, value): (&str, String)| (name.to_owned(), value);
        Stats::from([
            (
                "agent".to_owned(),
                BTreeMap::from([text(("name", self.shared.name.to_string()))]),
            ),
            ("runtime".to_owned(), runtime()),
            ("serf".to_owned(), serf.into_iter().map(text).collect()),
            ("tags".to_owned(), tags),
        ])
    }

    fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.subscribe()
    }
}

/// Where the agent runs, in the words of Serf's section: those of Go for systems and processors.
fn runtime() -> BTreeMap<String, String> {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tasks = tokio::runtime::Handle::try_current()
        .map_or(0, |runtime| runtime.metrics().num_alive_tasks());
    [
        ("os", os.to_owned()),
        ("arch", processor.to_owned()),
        ("version", format!("taraf {}", env!("CARGO_PKG_VERSION"))),
        ("max_procs", threads.to_string()),
        ("goroutines", tasks.to_string()),
        ("cpu_count", threads.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
