//! Threads that each run a runtime of their own, so that a call stays on one core from its first
//! byte to its last: nothing is handed over, nobody else is woken.

use std::cell::Cell;
use std::future::Future;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use taraf_base::Tasks;
use tokio::runtime::Builder;

/// Tasks between two looks at sockets and timers. More of them means fewer system calls under load,
/// and none of ours runs long.
const TASKS_PER_LOOK: u32 = 61;

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of this thread among all such threads of the process; nothing on other threads.
#[must_use]
pub fn number() -> Option<usize> {
    NUMBER.get()
}

/// How many threads make use of the machine.
#[must_use]
pub fn available() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Runs the work on so many threads, each with its own runtime and its own part of the input. A
/// thread ends with its work; what the work spawned and did not wait for is dropped then.
pub fn start<I, F, W>(name: &'static str, parts: Vec<I>, tasks: &Tasks, work: F)
where
    I: Send + 'static,
    F: Fn(I) -> W + Send + Sync + 'static,
    W: Future<Output = ()>,
{
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let work = Arc::new(work);
    for part in parts {
        let work = Arc::clone(&work);
        tasks.spawn_blocking(name, move || {
            NUMBER.set(Some(STARTED.fetch_add(1, Ordering::Relaxed)));
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(TASKS_PER_LOOK)
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(work(part)),
                Err(error) => tracing::error!(%error, "failed to start a runtime for a core"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn each_part_has_a_thread_with_a_number_of_its_own() {
        let (tell, mut told) = mpsc::channel(3);
        let tasks = Tasks::new();
        start("core", vec![1, 2, 3], &tasks, move |part: i32| {
            let tell = tell.clone();
            async move { tell.send((part, number())).await.unwrap() }
        });
        let mut all = Vec::new();
        while let Some(one) = told.recv().await {
            all.push(one);
        }
        all.sort_unstable();
        assert_eq!(
            all.iter().map(|(part, _)| *part).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        let mut numbers: Vec<_> = all.iter().map(|(_, number)| number.unwrap()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 3);
        assert_eq!(number(), None);
        assert!(tasks.drain(Duration::from_secs(10)).await.is_empty());
    }
}
