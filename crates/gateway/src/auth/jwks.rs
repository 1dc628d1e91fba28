//! The keys of an issuer: asked for by one task, when they are due or one is not among them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use taraf_base::Tasks;
use taraf_service::{CallPolicy, Client, body};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::jwt::Keys;

/// The largest key set.
const SET_BYTES_MAX: usize = 1 << 20;
/// How long a set may take to come.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// The least time between two fetches, however many tokens name unknown keys.
const FETCH_PAUSE: Duration = Duration::from_secs(10);

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Url(String),
    File(PathBuf),
}

/// The keys as they are now, and the way to have them asked for.
///
/// Invariant: there is one fetch at a time and at most one in [`FETCH_PAUSE`], because one task alone
/// fetches, and it looks at the time of its last one.
#[derive(Debug)]
pub(crate) struct Jwks {
    state: watch::Receiver<State>,
    wanted: watch::Sender<u64>,
    _stop: DropGuard,
}

/// What the last fetches brought.
#[derive(Clone, Debug, Default)]
struct State {
    keys: Option<Arc<Keys>>,
    /// Counts fetches, the failed ones too.
    fetches: u64,
    last: Option<Instant>,
    /// Why the last fetch failed, if it did.
    error: Option<String>,
}

impl Jwks {
    /// Asks for the keys at once, and again each time that `refresh` has passed.
    pub(crate) fn start(
        name: &str,
        source: Source,
        refresh: Duration,
        client: Client,
        tasks: &Tasks,
    ) -> Self {
        let (tell, state) = watch::channel(State::default());
        let (wanted, wants) = watch::channel(0);
        let stop = CancellationToken::new();
        let work = follow(
            name.to_owned(),
            source,
            refresh.max(FETCH_PAUSE),
            client,
            (tell, wants),
        );
        let (until, token) = (stop.clone(), tasks.token());
        tasks.spawn("issuer's keys", async move {
            tokio::select! {
                () = work => {}
                () = until.cancelled() => {}
                () = token.cancelled() => {}
            }
        });
        Self {
            state,
            wanted,
            _stop: stop.drop_guard(),
        }
    }

    /// The keys that are known; waits for the first ones.
    pub(crate) async fn keys(&self) -> Option<Arc<Keys>> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| state.fetches > 0);
        let known = tokio::time::timeout(FETCH_LIMIT, known).await;
        known.ok()?.ok()?.keys.clone()
    }

    /// The keys after a look at the source, for a token whose key is not known; nothing when the last
    /// look was a moment ago.
    pub(crate) async fn newer(&self) -> Option<Arc<Keys>> {
        let mut state = self.state.clone();
        let (seen, last) = {
            let now = state.borrow();
            (now.fetches, now.last)
        };
        if last.is_some_and(|last| last.elapsed() < FETCH_PAUSE) {
            return None;
        }
        self.wanted.send_modify(|wanted| *wanted += 1);
        let newer = state.wait_for(|state| state.fetches > seen);
        let newer = tokio::time::timeout(FETCH_LIMIT, newer).await;
        newer.ok()?.ok()?.keys.clone()
    }

    /// Why the keys could not be had the last time, if so.
    pub(crate) fn error(&self) -> Option<String> {
        self.state.borrow().error.clone()
    }
}

async fn follow(
    name: String,
    source: Source,
    refresh: Duration,
    client: Client,
    (tell, mut wants): (watch::Sender<State>, watch::Receiver<u64>),
) {
    loop {
        let fetched = tokio::time::timeout(FETCH_LIMIT, fetch(&source, &client)).await;
        let fetched = fetched.unwrap_or_else(|_late| Err(format!("no answer in {FETCH_LIMIT:?}")));
        if let Err(error) = &fetched {
            tracing::warn!(issuer = name, %error, "the issuer's keys could not be had; the old ones stay");
        }
        // Known keys stay when a fetch fails: an issuer's outage is none of its tokens' holders.
        tell.send_modify(|state| {
            state.fetches += 1;
            state.last = Some(Instant::now());
            match fetched {
                Ok(keys) => (state.keys, state.error) = (Some(Arc::new(keys)), None),
                Err(error) => state.error = Some(error),
            }
        });
        wants.mark_unchanged();
        // What failed is tried again sooner.
        let is_known = tell.borrow().error.is_none();
        let pause = if is_known { refresh } else { FETCH_PAUSE };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            asked = wants.changed() => if asked.is_err() { return },
        }
    }
}

async fn fetch(source: &Source, client: &Client) -> Result<Keys, String> {
    let bytes = match source {
        Source::File(path) => {
            let read = tokio::fs::read(path).await;
            let read = read.map_err(|error| format!("{}: {error}", path.display()))?;
            if read.len() > SET_BYTES_MAX {
                return Err(format!(
                    "{} is longer than {SET_BYTES_MAX} bytes",
                    path.display()
                ));
            }
            read.into()
        }
        Source::Url(url) => {
            let request = Request::get(url).header("accept", "application/json");
            let request = request
                .body(body::empty())
                .map_err(|error| error.to_string())?;
            let policy = CallPolicy {
                deadline: FETCH_LIMIT,
                ..CallPolicy::default()
            };
            let answer = client
                .call(request, &policy)
                .await
                .map_err(|error| error.to_string())?;
            if !answer.status().is_success() {
                return Err(format!("{url} answered {}", answer.status()));
            }
            let read = body::collect(answer.into_body(), SET_BYTES_MAX).await;
            read.map_err(|error| error.to_string())?
        }
    };
    Keys::read(&bytes)
}
