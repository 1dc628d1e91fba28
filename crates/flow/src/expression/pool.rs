//! Threads with a large stack: what expressions need beyond what a runtime's worker has.
//!
//! The one exception to the crate's purity. The threads hold no state; a caller blocks until its work
//! is done, which the budget bounds.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

/// Address space of a thread's stack. Only what is touched becomes memory.
const STACK: usize = 256 * 1024 * 1024;
/// How much of it an evaluation may use; the rest is for dropping deep values.
pub(crate) const USABLE: usize = 160 * 1024 * 1024;
/// The most threads.
const THREADS: usize = 4;
/// Work that may wait; callers beyond it wait to hand theirs in.
const QUEUE: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

fn queue() -> Option<&'static SyncSender<Work>> {
    static QUEUE_IN: OnceLock<Option<SyncSender<Work>>> = OnceLock::new();
    QUEUE_IN.get_or_init(start).as_ref()
}

/// Nothing when the system gives no thread.
fn start() -> Option<SyncSender<Work>> {
    let (sender, receiver) = sync_channel(QUEUE);
    let receiver = Arc::new(Mutex::new(receiver));
    let wanted = thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, THREADS));
    let mut started = 0;
    for index in 0..wanted {
        let receiver = Arc::clone(&receiver);
        let builder = thread::Builder::new().name(format!("expression-{index}"));
        let spawned = builder.stack_size(STACK).spawn(move || serve(&receiver));
        started += usize::from(spawned.is_ok());
    }
    (started > 0).then_some(sender)
}

fn serve(receiver: &Mutex<Receiver<Work>>) {
    HERE.set(true);
    loop {
        let next = receiver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match next {
            Ok(work) => work(),
            Err(_closed) => return,
        }
    }
}

/// Does work on a thread with a large stack and waits for it. Nothing when there is no such thread or
/// the work panicked.
pub(crate) fn on_large_stack<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if HERE.get() {
        return Some(work());
    }
    let (sender, receiver) = sync_channel(1);
    let job = move || {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // The caller waits for it; it cannot have gone.
        let _sent = sender.send(done.ok());
    };
    queue()?.send(Box::new(job)).ok()?;
    receiver.recv().ok().flatten()
}
