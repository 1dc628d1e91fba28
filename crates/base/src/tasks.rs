//! Supervised tasks: named when they start, told when to stop, waited for at the end.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

/// A group of tasks that stop together.
///
/// A task is asked to end by [`Tasks::stop`], which it sees through [`Tasks::token`]; the owner then
/// waits with [`Tasks::drain`]. A task that panics is logged and counted, and does not take the
/// others with it.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
    token: CancellationToken,
}

struct Shared {
    running: Mutex<BTreeMap<u64, Running>>,
    count: watch::Sender<usize>,
    next: AtomicU64,
    panics: AtomicU64,
}

struct Running {
    name: &'static str,
    abort: Option<AbortHandle>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared::new()),
            token: CancellationToken::new(),
        }
    }

    /// A group of its own that also stops when this one does. It is drained on its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            shared: Arc::new(Shared::new()),
            token: self.token.child_token(),
        }
    }

    /// Starts a task. It should end soon after [`Tasks::token`] is cancelled.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let entry = self.enter(name);
        let id = entry.id;
        let handle = tokio::spawn(async move {
            let _entry = entry;
            task.await;
        });
        self.keep(id, handle);
    }

    /// Starts blocking work on a thread of its own. It cannot be aborted: it must watch the token.
    pub fn spawn_blocking(&self, name: &'static str, work: impl FnOnce() + Send + 'static) {
        let entry = self.enter(name);
        let panicked = Arc::clone(&self.shared);
        let run = move || {
            let _entry = entry;
            if std::panic::catch_unwind(AssertUnwindSafe(work)).is_err() {
                panicked.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, "a task panicked");
            }
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            tracing::error!(task = name, %error, "failed to start a thread");
        }
    }

    /// Asks all tasks to end.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Cancelled when the tasks should end.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Resolves when the tasks should end.
    pub async fn stopping(&self) {
        self.token.cancelled().await;
    }

    /// How many tasks run now.
    #[must_use]
    pub fn running(&self) -> usize {
        *self.shared.count.borrow()
    }

    /// How many tasks have ended by a panic.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }

    /// Stops the group and waits until its tasks have ended, at most `limit`. Those that have not
    /// are aborted where that is possible, and named in the answer.
    pub async fn drain(&self, limit: Duration) -> Vec<&'static str> {
        self.stop();
        let mut count = self.shared.count.subscribe();
        let all_ended = count.wait_for(|running| *running == 0);
        if tokio::time::timeout(limit, all_ended).await.is_ok() {
            return Vec::new();
        }
        let running = self
            .shared
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for task in running.values() {
            if let Some(abort) = &task.abort {
                abort.abort();
            }
        }
        running.values().map(|task| task.name).collect()
    }

    fn enter(&self, name: &'static str) -> Entry {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.shared.change(|running| {
            running.insert(id, Running { name, abort: None });
        });
        Entry {
            shared: Arc::clone(&self.shared),
            id,
            name,
        }
    }

    fn keep(&self, id: u64, handle: JoinHandle<()>) {
        let abort = handle.abort_handle();
        self.shared.change(|running| {
            // The task may have ended already.
            if let Some(task) = running.get_mut(&id) {
                task.abort = Some(abort);
            }
        });
        drop(handle);
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            running: Mutex::default(),
            count: watch::Sender::new(0),
            next: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, Running>)) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut running);
        // Who waits, waits for the last one.
        self.count.send_if_modified(|count| {
            *count = running.len();
            *count == 0
        });
    }
}

/// Takes the task off the list however it ends.
struct Entry {
    shared: Arc<Shared>,
    id: u64,
    name: &'static str,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(task = self.name, "a task panicked");
        }
        self.shared.change(|running| {
            running.remove(&self.id);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drained_group_has_waited_for_its_tasks() {
        let tasks = Tasks::new();
        let ended = Arc::new(AtomicU64::new(0));
        for _ in 0..3 {
            let (token, ended) = (tasks.token(), Arc::clone(&ended));
            tasks.spawn("worker", async move {
                token.cancelled().await;
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(tasks.running(), 3);
        assert!(tasks.drain(Duration::from_secs(10)).await.is_empty());
        assert_eq!(ended.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_named_and_aborted() {
        let tasks = Tasks::new();
        tasks.spawn("deaf", std::future::pending());
        assert_eq!(tasks.drain(Duration::from_secs(1)).await, ["deaf"]);
        assert!(tasks.drain(Duration::from_secs(1)).await.is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_stays_where_it_was() {
        let tasks = Tasks::new();
        tasks.spawn("clumsy", async { panic!("on purpose") });
        tasks.spawn_blocking("clumsy thread", || panic!("on purpose"));
        let mut count = tasks.shared.count.subscribe();
        count.wait_for(|running| *running == 0).await.unwrap();
        assert_eq!(tasks.panics(), 2);
        assert!(!tasks.token().is_cancelled());
    }

    #[tokio::test]
    async fn a_child_stops_with_its_parent_and_not_the_reverse() {
        let parent = Tasks::new();
        let child = parent.child();
        let other = parent.child();
        other.stop();
        assert!(!parent.token().is_cancelled());
        parent.stop();
        assert!(child.token().is_cancelled());
    }
}
