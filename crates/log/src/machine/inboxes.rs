//! What waits for the leader, in order of urgency.

use tokio::sync::mpsc;

use super::Machine;
use super::handle::{Proposal, Read};

/// What waits for the leader, most urgent first.
pub(super) struct Inboxes<M: Machine> {
    pub(super) outcomes: mpsc::Receiver<Proposal<M>>,
    pub(super) controls: mpsc::Receiver<Proposal<M>>,
    pub(super) events: mpsc::Receiver<Proposal<M>>,
    pub(super) starts: mpsc::Receiver<Proposal<M>>,
    pub(super) reads: mpsc::Receiver<Read<M>>,
}

pub(super) enum Work<M: Machine> {
    Proposal(Proposal<M>),
    Read(Read<M>),
    /// Nobody holds a handle any more.
    Abandoned,
}

impl<M: Machine> Inboxes<M> {
    /// The next work; safe to cancel.
    pub(super) async fn next(&mut self) -> Work<M> {
        tokio::select! {
            biased;
            Some(proposal) = self.outcomes.recv() => Work::Proposal(proposal),
            Some(proposal) = self.controls.recv() => Work::Proposal(proposal),
            Some(read) = self.reads.recv() => Work::Read(read),
            Some(proposal) = self.events.recv() => Work::Proposal(proposal),
            Some(proposal) = self.starts.recv() => Work::Proposal(proposal),
            else => Work::Abandoned,
        }
    }

    /// The next work if there is any now.
    pub(super) fn try_next(&mut self) -> Option<Work<M>> {
        let urgent = self
            .outcomes
            .try_recv()
            .or_else(|_| self.controls.try_recv());
        if let Ok(proposal) = urgent {
            return Some(Work::Proposal(proposal));
        }
        if let Ok(read) = self.reads.try_recv() {
            return Some(Work::Read(read));
        }
        let rest = self.events.try_recv().or_else(|_| self.starts.try_recv());
        rest.ok().map(Work::Proposal)
    }
}
