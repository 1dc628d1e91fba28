//! Runs awaited: begun and awaited in one, and runs that are not recorded.

use std::time::Duration;

use taraf_log::machine::{Class, Phase, ProposeError};
use tokio::sync::{oneshot, watch};

use super::Engine;
use crate::leader::Awaited;
use crate::partition::Input;
use crate::{Error, Run, RunId, Start};

impl Engine {
    /// Starts a run and waits for its end as [`Engine::wait`] does. A run that ends at once is
    /// answered with the sync that made it durable.
    ///
    /// # Errors
    /// As [`Engine::start_run`].
    pub async fn run(&self, start: Start, limit: Duration) -> Result<Run, Error> {
        let leader = self.place_of(&start);
        let id = leader.new_run();
        let end = self.inner.hub.end_of(id);
        let started = self.begin(leader, id, start).await?;
        if started.id != id {
            return self.wait(started.id, limit).await;
        }
        self.until(id, end, limit).await
    }

    /// The run when it has ended, or as it is when the limit has passed.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn wait(&self, id: RunId, limit: Duration) -> Result<Run, Error> {
        let mut end = self.inner.hub.end_of(id);
        let run = tokio::select! {
            biased;
            Ok(run) = ended(&mut end) => return self.whole(run).await,
            run = self.expect(id) => run?,
        };
        if run.status.is_final() || limit.is_zero() {
            return Ok(run);
        }
        self.until(id, end, limit).await
    }

    /// The run as it ended, told by the partition itself: nobody has to ask it again, which would
    /// wait for what it writes next.
    async fn until(&self, id: RunId, mut end: Awaited, limit: Duration) -> Result<Run, Error> {
        let mut status = self.leader(id)?.handle.status();
        let stopped = status.wait_for(|status| status.phase != Phase::Leading);
        let told = async {
            tokio::select! {
                biased;
                run = ended(&mut end) => run.ok(),
                _stopped = stopped => None,
            }
        };
        match tokio::time::timeout(limit, told).await {
            Ok(Some(run)) => self.whole(run).await,
            // Whether the time passed or the partition stopped shows in the run.
            Ok(None) | Err(_) => self.expect(id).await,
        }
    }

    /// Runs a flow without recording anything; over the deadline it is cancelled, and when the
    /// caller goes away, too.
    ///
    /// # Errors
    /// As [`Engine::start_run`].
    pub async fn run_ephemeral(&self, mut start: Start, deadline: Duration) -> Result<Run, Error> {
        // A run that leaves nothing behind cannot be found again by a key.
        start.idempotency_key = None;
        let (mut caller, answer) = oneshot::channel();
        let engine = self.clone();
        // On a task of its own, so that a caller who goes away leaves no run without a deadline.
        self.inner.tasks.spawn("ephemeral run", async move {
            let done = engine.ephemeral(start, deadline, &mut caller).await;
            let _gone = caller.send(done);
        });
        let stopped = |_dropped| Err(Error::Partition(ProposeError::Stopped));
        answer.await.unwrap_or_else(stopped)
    }

    async fn ephemeral(
        &self,
        start: Start,
        deadline: Duration,
        caller: &mut oneshot::Sender<Result<Run, Error>>,
    ) -> Result<Run, Error> {
        let leader = &self.inner.ephemeral;
        let id = leader.new_run();
        let end = self.inner.hub.end_of(id);
        self.begin(leader, id, start).await?;
        let mut run = tokio::select! {
            run = self.until(id, end, deadline) => run?,
            () = caller.closed() => self.expect(id).await?,
        };
        if !run.status.is_final() {
            run = match self.cancel(id).await {
                Ok(run) => run,
                // It ended meanwhile.
                Err(Error::NotPossible { .. }) => self.expect(id).await?,
                Err(error) => return Err(error),
            };
        }
        let removed = leader.handle.propose(Class::Control, Input::Remove(id));
        if let Err(error) = removed.await {
            tracing::debug!(%error, "an ephemeral run is left to the sweep");
        }
        Ok(run)
    }
}

/// The run as it ended, when it does.
async fn ended(end: &mut Awaited) -> Result<Run, watch::error::RecvError> {
    let run = end.wait_for(Option::is_some).await?;
    // Checked just now.
    Ok(run
        .as_ref()
        .map(|run| Run::clone(run))
        .expect("it has ended"))
}
