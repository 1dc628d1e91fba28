//! RPC over real connections, to an agent that lives in the test's memory.

pub(crate) mod agent;
mod calls;
mod refusals;
mod serf;

use std::net::SocketAddr;
use std::time::Duration;

use taraf_base::Tasks;
use taraf_gossip::rpc::{Bound, Client, Limits, Lines, Listener, Server, Settings};

use agent::Fake;

/// Nothing here takes long; whatever does hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// A served agent; it stops with this.
struct Served {
    agent: Fake,
    lines: Lines,
    address: SocketAddr,
    tasks: Tasks,
}

impl Served {
    async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let (agent, lines, tasks) = (Fake::default(), Lines::default(), Tasks::new());
        let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
        let address = match listener.bound() {
            Bound::Tcp(address) => address,
            Bound::Local(path) => unreachable!("not TCP: {}", path.display()),
        };
        Server::new(agent.clone(), lines.clone(), settings).listen(listener, &tasks);
        Self {
            agent,
            lines,
            address,
            tasks,
        }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.address.to_string(), "")
            .await
            .unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

fn limits(change: impl FnOnce(&mut Limits)) -> Settings {
    let mut limits = Limits::default();
    change(&mut limits);
    Settings {
        limits,
        ..Settings::default()
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("it hangs")
}
