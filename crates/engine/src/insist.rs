//! Proposals that must not be lost, repeated until the partition has taken them.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use taraf_base::{Rng, random_u64};
use taraf_log::machine::{Class, Handle, ProposeError};

use crate::partition::{Input, Insist, Insistence, Partition, Reply};

/// Proposes until the partition has taken the input, or stops: then it asks again when it leads.
pub(crate) async fn insist(handle: &Handle<Partition>, input: Input) {
    let insistence = Insistence::new(input, chance());
    until_taken(insistence, |input| handle.propose(Class::Outcome, input)).await;
}

/// Spreads those that wait. Few ever do, so the system is asked for chance once and not for each.
fn chance() -> Rng {
    static SEED: LazyLock<AtomicU64> = LazyLock::new(|| random_u64().into());
    Rng::new(SEED.fetch_add(1, Ordering::Relaxed))
}

async fn until_taken<F, P>(mut insistence: Insistence, mut propose: F)
where
    F: FnMut(Input) -> P,
    P: Future<Output = Result<Reply, ProposeError>>,
{
    loop {
        let answer = propose(insistence.input().clone()).await;
        match insistence.answered(answer) {
            Insist::Propose(after) if after.is_zero() => {}
            Insist::Propose(after) => tokio::time::sleep(after).await,
            Insist::Taken | Insist::GivenUp => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use taraf_base::Timestamp;
    use taraf_flow::Data;

    use super::*;
    use crate::RunId;
    use crate::partition::{Outcome, Purpose};

    const MAX: usize = 4 << 20;

    /// Proposes, answers what is scripted, and tells what was proposed.
    async fn proposed(input: Input, script: Vec<Result<Reply, ProposeError>>) -> Vec<String> {
        let mut answers = script.into_iter();
        let mut seen = Vec::new();
        until_taken(Insistence::new(input, Rng::new(1)), |input| {
            seen.push(match input {
                Input::Outcome { outcome, .. } => match outcome {
                    Outcome::Ok(_) => "answer".to_owned(),
                    Outcome::Err(error) | Outcome::Unsent(error) => {
                        error.detail.unwrap_or_default()
                    }
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
