//! The way into a running replica: proposals, reads, and how it is doing.

use tokio::sync::{mpsc, oneshot, watch};

use super::Machine;
use crate::{Epoch, Position};

/// How urgent an input is: what finishes work goes before what begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The outcome of an action or a due timer. Never refused as overload.
    Outcome,
    /// An operator's word: cancel, suspend, resume.
    Control,
    /// Something that a waiting run may be waiting for.
    Event,
    /// New work.
    Start,
}

/// Why a proposal or read was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Too many inputs of this class wait. Nothing was recorded; try again later.
    #[error("too many inputs wait")]
    Overloaded,
    /// The log has no space. Nothing was recorded; try again later.
    #[error("no space is left for the log")]
    Full,
    /// The input's events exceed one batch. Nothing was recorded.
    #[error("the input leads to more than {max} bytes of records")]
    TooLarge {
        /// The most that one group may hold.
        max: usize,
    },
    /// Another node leads this partition. Whether the input was recorded is not known.
    #[error("another node leads this partition now")]
    Fenced,
    /// The partition has stopped for good. Whether the input was recorded is not known.
    #[error("the partition has stopped for good: {0}")]
    Poisoned(String),
    /// The replica is stopping or has stopped. Whether the input was recorded is not known.
    #[error("the partition has been stopped")]
    Stopped,
    /// Deciding on this input panicked. Nothing was recorded, the state is unchanged.
    #[error("deciding on the input failed: {0}")]
    Panicked(String),
}

impl ProposeError {
    /// Whether the same proposal can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Overloaded | Self::Full)
    }
}

/// How a replica is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it does.
    pub phase: Phase,
    /// The last durable record that it knows.
    pub position: Position,
    /// The epoch in which it leads or led.
    pub epoch: Epoch,
    /// Whether it waits for space and refuses new work meanwhile.
    pub is_full: bool,
    /// The newest snapshot.
    pub snapshot: Position,
}

/// What a replica does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Evolving what the log holds.
    Replaying,
    /// Taking proposals.
    Leading,
    /// Another node has taken the partition.
    Fenced,
    /// It met something that it cannot go on from; the text names it.
    Poisoned(String),
    /// Its records give another state than the one it was led with; the text says what to do.
    Diverged(String),
    /// It was asked to stop.
    Stopped,
}

/// The way into a running replica. Cheap to clone.
pub struct Handle<M: Machine> {
    pub(super) outcomes: mpsc::Sender<Proposal<M>>,
    pub(super) controls: mpsc::Sender<Proposal<M>>,
    pub(super) events: mpsc::Sender<Proposal<M>>,
    pub(super) starts: mpsc::Sender<Proposal<M>>,
    pub(super) reads: mpsc::Sender<Read<M>>,
    pub(super) status: watch::Receiver<Status>,
}

pub(super) struct Proposal<M: Machine> {
    pub(super) class: Class,
    pub(super) input: M::Input,
    pub(super) reply: oneshot::Sender<Result<M::Reply, ProposeError>>,
}

/// Looks at the state now; what it saw is told later, when that state is durable.
pub(super) type Read<M> = Box<dyn FnOnce(&M) -> Told + Send>;
/// Tells somebody that what they wait for is durable. Dropped instead when it never will be: the
/// waiting side then finds the reason in the status, which is set before.
pub(super) type Told = Box<dyn FnOnce() + Send>;

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self {
            outcomes: self.outcomes.clone(),
            controls: self.controls.clone(),
            events: self.events.clone(),
            starts: self.starts.clone(),
            reads: self.reads.clone(),
            status: self.status.clone(),
        }
    }
}

impl<M: Machine> Handle<M> {
    /// Proposes an input. `Ok` means that all events it led to are durable.
    ///
    /// An [`Class::Outcome`] waits for a place; the other classes are refused when theirs is full.
    /// Dropping the future does not take the input back.
    ///
    /// # Errors
    /// See [`ProposeError`], which says of each variant whether the input may have been recorded.
    pub async fn propose(&self, class: Class, input: M::Input) -> Result<M::Reply, ProposeError> {
        let (reply, answer) = oneshot::channel();
        let proposal = Proposal {
            class,
            input,
            reply,
        };
        let inbox = match class {
            Class::Outcome => {
                let sent = self.outcomes.send(proposal).await;
                sent.map_err(|_closed| self.why_closed())?;
                return answer.await.unwrap_or_else(|_| Err(self.why_closed()));
            }
            Class::Control => &self.controls,
            Class::Event => &self.events,
            Class::Start => &self.starts,
        };
        inbox.try_send(proposal).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProposeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => self.why_closed(),
        })?;
        answer.await.unwrap_or_else(|_| Err(self.why_closed()))
    }

    /// Looks at the state, which may run ahead of the disk; answered when what it saw is durable.
    /// `look` runs on the replica's task: it should take what it needs and go.
    ///
    /// # Errors
    /// When the replica no longer leads.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&M) -> T + Send + 'static,
    ) -> Result<T, ProposeError> {
        let (reply, answer) = oneshot::channel();
        let read: Read<M> = Box::new(move |machine| {
            let seen = look(machine);
            Box::new(move || {
                // A reader that went away needs no answer.
                let _gone = reply.send(seen);
            })
        });
        let sent = self.reads.send(read).await;
        sent.map_err(|_closed| self.why_closed())?;
        answer.await.map_err(|_dropped| self.why_closed())
    }

    /// How the replica is doing, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    fn why_closed(&self) -> ProposeError {
        match &self.status.borrow().phase {
            Phase::Fenced => ProposeError::Fenced,
            Phase::Poisoned(why) | Phase::Diverged(why) => ProposeError::Poisoned(why.clone()),
            Phase::Replaying | Phase::Leading | Phase::Stopped => ProposeError::Stopped,
        }
    }
}
