//! [pure] What a `try` does about an error: try again, handle, swallow, or let it go.

use taraf_base::{Rng, Timestamp};
use taraf_flow::tasks::Try;
use taraf_flow::{FlowError, Scope};

use super::event::{Caught, Given, Lane, What};
use super::run::{Doing, Step};
use super::work::{Next, Work, condition};

/// What is done about an error.
enum Verdict {
    /// Not caught.
    Leave(FlowError),
    /// The next attempt begins then.
    Retry(Timestamp),
    /// `catch.do`
    Handle,
    /// The try task ends with its input.
    Swallow,
}

impl Work<'_> {
    /// Decides about an error of the list that `step` tries.
    pub(super) fn caught(&mut self, step: u32, tried: &Try, error: FlowError) {
        let Some((state, task)) = self.step(step) else {
            return;
        };
        let mut scope = self.scope(&state, &task);
        scope
            .locals
            .push((tried.catch.as_.clone(), error.to_data()));
        let verdict = match self.judge(step, &state, tried, &error, &scope) {
            Ok(verdict) => verdict,
            // An error inside a condition is raised in place of the first, and tells of it.
            Err(failed) => {
                let first = error.to_string();
                let detail = failed.detail.clone().unwrap_or_default();
                let mut failed = failed;
                failed.detail = Some(format!("{detail} (while deciding about: {first})"));
                Verdict::Leave(failed)
            }
        };
        match verdict {
            Verdict::Leave(error) => self.queue.push(Next::Failed { step, error }),
            Verdict::Retry(until) => {
                self.record(What::Caught(Caught {
                    step,
                    error,
                    retry: Some(until),
                }));
            }
            Verdict::Handle => {
                self.record(What::Caught(Caught {
                    step,
                    error,
                    retry: None,
                }));
                let lane = Lane {
                    step,
                    slot: Lane::CATCH,
                };
                self.queue.push(Next::Enter { lane, index: 0 });
            }
            Verdict::Swallow => {
                self.record(What::Caught(Caught {
                    step,
                    error,
                    retry: None,
                }));
                self.queue.push(Next::Raw {
                    step,
                    raw: Given::Input,
                    then: tried.catch.then,
                });
            }
        }
    }

    fn judge(
        &self,
        id: u32,
        step: &Step,
        tried: &Try,
        error: &FlowError,
        scope: &Scope,
    ) -> Result<Verdict, FlowError> {
        let catch = &tried.catch;
        let document = error.to_data();
        let matches = catch
            .errors
            .as_ref()
            .is_none_or(|filter| filter.matches(error))
            && condition(catch.when.as_ref(), &document, scope, true)?
            && !condition(catch.except_when.as_ref(), &document, scope, false)?;
        if !matches {
            return Ok(Verdict::Leave(error.clone()));
        }
        let Doing::Try { attempt, .. } = step.doing else {
            return Ok(Verdict::Leave(error.clone()));
        };
        // Another attempt could not make an at-most-once call again that was made or may have been.
        let is_spent = |task: &str| self.run.has_spent(task);
        if let Some(policy) = &catch.retry
            && !error.instance.as_deref().is_some_and(is_spent)
            && policy.allows(&document, scope)?
        {
            let schedule = policy.schedule(&step.input, scope, step.started)?;
            let until = self
                .now
                .plus(schedule.delay(attempt, self.chance(id, attempt)));
            if schedule.may_retry(attempt, step.started, until) {
                return Ok(Verdict::Retry(until));
            }
        }
        Ok(match (&catch.tasks, &catch.retry) {
            (Some(_), _) => Verdict::Handle,
            // An exhausted retry never passes silently.
            (None, Some(_)) => Verdict::Leave(error.clone()),
            (None, None) => Verdict::Swallow,
        })
    }

    /// Chance that the same run, step and attempt always have.
    fn chance(&self, step: u32, attempt: u32) -> u64 {
        let id = self.run.id.get();
        let folded = u64::try_from((id >> 64) ^ (id & u128::from(u64::MAX))).unwrap_or(0);
        let place = u64::from(step) << 32 | u64::from(attempt);
        Rng::new(folded ^ place.rotate_left(17)).next_u64()
    }

    /// Begins the next attempt.
    pub(super) fn retry(&mut self, id: u32, tried: &Try) {
        let Some((step, task)) = self.step(id) else {
            return;
        };
        let Doing::Try { attempt, .. } = step.doing else {
            return;
        };
        let scope = self.scope(&step, &task);
        let until = match self.attempt_until(tried, &step, &scope) {
            Ok(until) => until,
            Err(error) => {
                self.queue.push(Next::Failed { step: id, error });
                return;
            }
        };
        let attempt = attempt.saturating_add(1);
        self.record(What::Retried {
            step: id,
            attempt,
            until,
        });
        self.queue.push(Next::Enter {
            lane: Lane::first(id),
            index: 0,
        });
    }

    /// When an attempt that begins now times out.
    pub(super) fn attempt_until(
        &self,
        tried: &Try,
        step: &Step,
        scope: &Scope,
    ) -> Result<Option<Timestamp>, FlowError> {
        let Some(policy) = &tried.catch.retry else {
            return Ok(None);
        };
        let schedule = policy.schedule(&step.input, scope, self.now)?;
        Ok(schedule.attempt_duration.map(|limit| self.now.plus(limit)))
    }
}
