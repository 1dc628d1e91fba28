//! Proposals that must not be lost: what wakes a run is repeated while it is refused, and when its
//! consequences can never be recorded the run ends by an error that says why.

use std::future::Future;
use std::time::Duration;

use taraf_base::{Backoff, Rng, random_u64};
use taraf_flow::FlowError;
use taraf_log::machine::{Class, Handle, ProposeError};

use crate::partition::{Input, Outcome, Partition, Reply};

/// How long to wait before an input is proposed again.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(50),
    max: Duration::from_secs(5),
    factor: 2,
};

/// Proposes until the partition has taken the input, or stops: then it asks again when it leads.
pub(crate) async fn insist(handle: &Handle<Partition>, input: Input) {
    let mut rng = Rng::new(random_u64());
    until_taken(input, &mut rng, |input| {
        handle.propose(Class::Outcome, input)
    })
    .await;
}

async fn until_taken<F, P>(mut input: Input, rng: &mut Rng, mut propose: F)
where
    F: FnMut(Input) -> P,
    P: Future<Output = Result<Reply, ProposeError>>,
{
    let mut refused = 0;
    loop {
        match propose(input.clone()).await {
            Ok(Reply::Late) => {
                tracing::debug!(?input, "an input came too late and changed nothing");
                return;
            }
            Ok(_) => return,
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(AGAIN.delay(refused, rng)).await;
                refused = refused.saturating_add(1);
            }
            Err(error) => match instead(&input, &error) {
                Some(other) => {
                    tracing::warn!(%error, ?input, "an input cannot be recorded");
                    input = other;
                }
                None => {
                    tracing::debug!(%error, "an input was not taken");
                    return;
                }
            },
        }
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

#[cfg(test)]
mod tests {
    use taraf_base::Timestamp;
    use taraf_flow::Data;

    use super::*;
    use crate::RunId;
    use crate::partition::Purpose;

    const MAX: usize = 4 << 20;

    /// Proposes, answers what is scripted, and tells what was proposed.
    async fn proposed(input: Input, script: Vec<Result<Reply, ProposeError>>) -> Vec<String> {
        let mut answers = script.into_iter();
        let mut seen = Vec::new();
        until_taken(input, &mut Rng::new(1), |input| {
            seen.push(match input {
                Input::Outcome { outcome, .. } => match outcome {
                    Outcome::Ok(_) => "answer".to_owned(),
                    Outcome::Err(error) => error.detail.unwrap_or_default(),
                },
                Input::Fault(_, error) => format!("fault: {}", error.detail.unwrap_or_default()),
                Input::TimerDue { .. } => "timer".to_owned(),
                _ => "turn".to_owned(),
            });
            let answer = answers.next().unwrap_or(Ok(Reply::Done));
            std::future::ready(answer)
        })
        .await;
        seen
    }

    fn answer() -> Input {
        Input::Outcome {
            run: RunId::new(1),
            step: 1,
            outcome: Outcome::Ok(Data::string("large")),
            began: Timestamp::EPOCH,
            ended: Timestamp::EPOCH,
        }
    }

    fn timer() -> Input {
        Input::TimerDue {
            run: RunId::new(1),
            step: 1,
            purpose: Purpose::Delay,
            due: Timestamp::EPOCH,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_now_is_proposed_until_it_is_taken() {
        let refusals = || {
            let mut script = vec![Err(ProposeError::Overloaded); 20];
            script.extend(vec![Err(ProposeError::Full); 20]);
            script
        };
        let turn = Input::Continue(RunId::new(1));
        assert_eq!(proposed(turn, refusals()).await, vec!["turn"; 41]);
        assert_eq!(proposed(timer(), refusals()).await, vec!["timer"; 41]);
        assert_eq!(proposed(answer(), refusals()).await, vec!["answer"; 41]);
    }

    #[tokio::test]
    async fn what_can_never_be_recorded_ends_the_run_and_says_the_limit() {
        let limit = "what follows has more than the 4194304 bytes that are recorded at once";
        let fault = format!("fault: {limit}");
        let too_large = || Err(ProposeError::TooLarge { max: MAX });
        let turn = Input::Continue(RunId::new(1));
        assert_eq!(proposed(turn, vec![too_large()]).await, ["turn", &fault]);
        assert_eq!(
            proposed(timer(), vec![too_large()]).await,
            ["timer", &fault]
        );
        let seen = proposed(answer(), vec![too_large(), too_large()]).await;
        assert_eq!(
            seen,
            ["answer", limit, &fault],
            "the flow may catch it first"
        );
    }

    #[tokio::test]
    async fn a_panic_ends_the_run_and_a_stop_ends_the_proposals() {
        let panicked = Err(ProposeError::Panicked("boom".to_owned()));
        let seen = proposed(answer(), vec![panicked]).await;
        assert_eq!(
            seen[1..],
            ["fault: internal: deciding what follows panicked"]
        );
        let stopped = proposed(timer(), vec![Err(ProposeError::Stopped)]).await;
        assert_eq!(stopped, ["timer"]);
    }
}
