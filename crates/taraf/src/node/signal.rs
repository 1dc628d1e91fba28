//! The signals that end the program: the first asks, the second forces.

use std::sync::Arc;

use anyhow::Context as _;
use taraf_base::Tasks;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a program that was interrupted.
const EXIT_INTERRUPTED: i32 = 130;

/// SIGTERM and SIGINT, caught from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let caught = |kind| signal(kind).context("failed to catch signals");
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
        })
    }

    /// Resolves at the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Resolves at the next signal; a further one then ends the process at once. What was
    /// acknowledged is durable already, so nothing is lost by it but the answers of calls under way.
    pub(crate) async fn wait_then_force(mut self) {
        self.next().await;
        // A group of its own: it must outlive the draining of all others, and ends with the process.
        Tasks::new().spawn("second signal", async move {
            self.next().await;
            exit();
        });
    }
}

/// Does something at each SIGHUP until the tasks stop, on a thread of its own as it may read files.
pub(crate) fn on_hangup(
    tasks: &Tasks,
    act: impl Fn() + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("failed to catch signals")?;
    let (group, act) = (tasks.clone(), Arc::new(act));
    tasks.spawn("hangups", async move {
        loop {
            tokio::select! {
                hangup = hangups.recv() => if hangup.is_none() { return },
                () = group.stopping() => return,
            }
            let act = Arc::clone(&act);
            group.spawn_blocking("hangup", move || act());
        }
    });
    Ok(())
}

#[expect(clippy::exit, reason = "the second signal asks for exactly this")]
fn exit() {
    tracing::warn!("forced to stop");
    std::process::exit(EXIT_INTERRUPTED);
}
