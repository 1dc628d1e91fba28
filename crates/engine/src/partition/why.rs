//! [pure] One sentence: what a run waits for, or how it ended.

use taraf_base::Timestamp;

use super::run::{Doing, Ending, Run, Step, TryPhase};
use crate::view;

/// Steps named in one sentence.
const NAMED: usize = 3;

impl Run {
    /// What the run waits for, or how it ended.
    #[must_use]
    pub fn why(&self) -> String {
        match &self.ended {
            Some((at, Ending::Completed(_))) => return format!("completed at {at}"),
            Some((_, Ending::Faulted(error))) => {
                let place = error.instance.as_deref().unwrap_or("the run");
                return format!("faulted at {place}: {error}");
            }
            Some((at, Ending::Cancelled(why))) => return format!("{why} at {at}"),
            None => {}
        }
        if let Some(since) = self.suspended {
            let calls = self.steps.values().filter(|step| is_calling(step)).count();
            let rest = if calls > 0 {
                "; what is in flight will end first"
            } else {
                ""
            };
            return format!("held by a person since {since}{rest}");
        }
        let mut reasons: Vec<String> = self.steps.values().filter_map(reason).collect();
        let more = reasons.len().saturating_sub(NAMED);
        reasons.truncate(NAMED);
        match (reasons.is_empty(), more) {
            (true, _) => "its next turn is due".to_owned(),
            (false, 0) => reasons.join("; "),
            (false, more) => format!("{}; and {more} more", reasons.join("; ")),
        }
    }

    /// The run as its readers see it.
    #[must_use]
    pub fn view(&self) -> view::Run {
        let (mut output, mut error, mut ended) = (None, None, None);
        if let Some((at, ending)) = &self.ended {
            ended = Some(*at);
            match ending {
                Ending::Completed(data) => output = Some(data.clone()),
                Ending::Faulted(fault) => error = Some(fault.clone()),
                Ending::Cancelled(_) => {}
            }
        }
        view::Run {
            id: self.id,
            flow: self.begun.flow.clone(),
            status: self.status(),
            why: self.why(),
            input: self.begun.raw.clone(),
            output,
            error,
            created: self.created,
            started: Some(self.created),
            updated: self.updated,
            ended,
            owner: self.begun.owner.clone(),
            idempotency_key: self.begun.key.clone(),
        }
    }
}

const fn is_calling(step: &Step) -> bool {
    matches!(
        step.doing,
        Doing::Call {
            answer: None,
            key: Some(_),
            ..
        }
    )
}

fn reason(step: &Step) -> Option<String> {
    let name = step.task.rsplit('/').next().unwrap_or_default();
    let until = |what: &str, at: Timestamp| format!("{what} of `{name}` ends at {at}");
    match &step.doing {
        Doing::Wait { until: Some(at) } => Some(until("the wait", *at)),
        Doing::Try {
            phase: TryPhase::Delayed { until: at },
            attempt,
            ..
        } => Some(format!(
            "attempt {} of `{name}` begins at {at}",
            attempt.saturating_add(1)
        )),
        Doing::Call {
            request,
            answer: None,
            key: Some(_),
            ..
        } => {
            let since = step.started;
            if request.name().is_some() {
                // Not fetched for a sentence.
                return Some(format!("the call of `{name}` runs since {since}"));
            }
            let part = |name| request.get(name).and_then(|value| value.as_str());
            let method = part("method").unwrap_or_default().to_ascii_uppercase();
            // The query may hold what is nobody's business.
            let uri = part("uri").unwrap_or_default();
            let place = uri.split('?').next().unwrap_or_default();
            Some(format!(
                "the call of `{name}` ({method} {place}) runs since {since}"
            ))
        }
        _ => None,
    }
}
