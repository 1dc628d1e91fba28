//! [pure] Inputs that must not be lost: what wakes a run is repeated while it is refused, and when its
//! consequences can never be recorded the run ends by an error that says why.

use std::time::Duration;

use taraf_base::{Backoff, Rng};
use taraf_flow::FlowError;
use taraf_log::machine::ProposeError;

use super::event::Outcome;
use super::input::{Input, Reply};

/// How long to wait before an input is proposed again.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(50),
    max: Duration::from_secs(5),
    factor: 2,
};

/// One input on its way to be taken.
#[derive(Debug)]
pub struct Insistence {
    input: Input,
    refused: u32,
    rng: Rng,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insist {
    /// Propose [`Insistence::input`] after that time.
    Propose(Duration),
    /// Nothing: it was taken, or came too late.
    Taken,
    /// Nothing: the partition does not lead any more, and asks again when it does.
    GivenUp,
}

impl Insistence {
    /// An input that was not proposed yet. Chance spreads those that wait.
    #[must_use]
    pub const fn new(input: Input, rng: Rng) -> Self {
        Self {
            input,
            refused: 0,
            rng,
        }
    }

    /// What is proposed now.
    #[must_use]
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// What follows from the answer to the proposal.
    pub fn answered(&mut self, answer: Result<Reply, ProposeError>) -> Insist {
        match answer {
            Ok(Reply::Late) => {
                tracing::debug!(input = ?self.input, "an input came too late and changed nothing");
                Insist::Taken
            }
            Ok(Reply::TryAgain) => self.again(),
            Ok(_) => Insist::Taken,
            Err(error) if error.is_retryable() => self.again(),
            Err(error) => match instead(&self.input, &error) {
                Some(other) => {
                    tracing::warn!(%error, input = ?self.input, "an input cannot be recorded");
                    self.input = other;
                    Insist::Propose(Duration::ZERO)
                }
                None => {
                    tracing::debug!(%error, "an input was not taken");
                    Insist::GivenUp
                }
            },
        }
    }

    fn again(&mut self) -> Insist {
        let wait = AGAIN.delay(self.refused, &mut self.rng);
        self.refused = self.refused.saturating_add(1);
        Insist::Propose(wait)
    }
}

/// What is proposed in place of an input that can never be recorded. A large answer becomes an
/// error, which the flow may catch; all else ends the run, which nothing would wake any more.
fn instead(input: &Input, why: &ProposeError) -> Option<Input> {
    let run = match input {
        Input::Outcome { run, .. } | Input::TimerDue { run, .. } | Input::Continue(run) => *run,
        // The error of a fault is a line of text. What is no run's own is asked for by its caller.
        Input::Fault(..)
        | Input::Start(_)
        | Input::Control(..)
        | Input::Sweep
        | Input::Moved(_)
        | Input::Remove(_) => return None,
    };
    let error = match why {
        ProposeError::TooLarge { max } => FlowError::runtime(format!(
            "what follows has more than the {max} bytes that are recorded at once"
        )),
        ProposeError::Panicked(_) => FlowError::runtime("internal: deciding what follows panicked"),
        ProposeError::Overloaded
        | ProposeError::Full
        | ProposeError::Fenced
        | ProposeError::Poisoned(_)
        | ProposeError::Stopped => return None,
    };
    match (input.clone(), why) {
        (
            Input::Outcome {
                run,
                step,
                outcome: Outcome::Ok(_),
                began,
                ended,
            },
            ProposeError::TooLarge { .. },
        ) => Some(Input::Outcome {
            run,
            step,
            outcome: Outcome::Err(error),
            began,
            ended,
        }),
        _ => Some(Input::Fault(run, error)),
    }
}
