//! Services over a recorded source on loopback, and calls to them as callers make them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request};
use serde_json::Value;
use taraf_base::{Tasks, Timestamp};
use taraf_romania::recorded::{self, Recorded};
use taraf_romania::{Config, NAMES};
use taraf_service::{
    Body, CallPolicy, Client, Directory, Endpoint, ServiceName, body, client, serve,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The day on which the tests happen: a Sunday in Bucharest.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_341_600_000);

/// The defaults, on the day of the tests.
pub(crate) fn settings() -> Config {
    Config {
        clock: || NOW,
        ..Config::default()
    }
}

/// Everything that a test needs; its tasks end with it.
pub(crate) struct Bench {
    pub(crate) source: Recorded,
    client: Client,
    tasks: Tasks,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Bench {
    /// With requests to the tax office close together, so that tests do not wait.
    pub(crate) async fn start() -> Self {
        let config = Config {
            anaf_interval: Duration::from_millis(1),
            source_timeout: Duration::from_secs(2),
            ..settings()
        };
        Self::with(config).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let tasks = Tasks::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = recorded::start(listener, &tasks).await.unwrap();
        Self::over(config, source, tasks).await
    }

    /// The same services again, over the same source.
    pub(crate) async fn again(&self, config: Config) -> Self {
        Self::over(config, self.source.clone(), Tasks::new()).await
    }

    async fn over(mut config: Config, source: Recorded, tasks: Tasks) -> Self {
        config.anaf_base_url = source.base_url();
        config.bnr_base_url = source.base_url();
        let (directory, watched) = watch::channel(Arc::new(Directory::default()));
        let client = Client::new(watched, client::Config::default(), &tasks);
        let services = taraf_romania::services(config, client.clone(), &tasks)
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let served = serve::serve(listener, services, serve::Config::default(), &tasks)
            .await
            .unwrap();
        let mut all = Directory::default();
        for name in NAMES {
            let name = ServiceName::new(name).unwrap();
            all = all.with(name, vec![Endpoint::new(served.addr)]);
        }
        directory.send_replace(Arc::new(all));
        // The client keeps what the channel held last.
        drop(directory);
        Self {
            source,
            client,
            tasks,
        }
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.call(Method::GET, uri, body::empty()).await
    }

    /// Asks until the status is this one: the client's breaker lets a source that failed rest for
    /// a second or two.
    pub(crate) async fn becomes(&self, status: u16, uri: &str) -> Answer {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.get(uri).await;
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < limit, "{uri}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn post(&self, uri: &str, json: &Value) -> Answer {
        self.call(Method::POST, uri, body::full(json.to_string()))
            .await
    }

    pub(crate) async fn call(&self, method: Method, uri: &str, body: Body) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{uri}"))
            .body(body)
            .unwrap();
        let policy = CallPolicy {
            deadline: Duration::from_secs(30),
            retries: 0,
            ..CallPolicy::default()
        };
        let response = self.client.call(request, &policy).await.unwrap();
        let status = response.status().as_u16();
        let bytes = body::collect(response.into_body(), 1 << 20).await.unwrap();
        Answer {
            status,
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
