//! The signals that end the program, where the first asks and the second forces, and the one to read anew.

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

/// SIGHUP, caught from the moment this is made: the word to read the configuration anew.
pub(crate) struct Hangups(Signal);

impl Hangups {
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let caught = signal(SignalKind::hangup()).context("failed to catch signals")?;
        Ok(Self(caught))
    }

    /// Resolves at the next one; several at once are one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[expect(clippy::exit, reason = "the second signal asks for exactly this")]
fn exit() {
    tracing::warn!("forced to stop");
    std::process::exit(EXIT_INTERRUPTED);
}
