//! Flows behind routes: the gateway asks, the engine runs.

use serde_json::{Value, json};
use taraf_engine::{Engine, FlowRef, Run, RunId, Start, Status};
use taraf_flow::Data;
use taraf_gateway::{FlowAnswer, FlowCall, FlowFuture, Flows};
use taraf_service::{Problem, problem};

use super::problems;

/// The engine as the gateway sees it.
pub(crate) struct EngineFlows(pub(crate) Engine);

impl Flows for EngineFlows {
    fn start(&self, call: FlowCall) -> FlowFuture<'_> {
        Box::pin(start(&self.0, call))
    }

    fn run<'a>(&'a self, id: &'a str, account: &'a str) -> FlowFuture<'a> {
        Box::pin(run(&self.0, id, account))
    }
}

async fn start(engine: &Engine, call: FlowCall) -> Result<FlowAnswer, Problem> {
    let flow = FlowRef {
        namespace: call.namespace,
        name: call.name,
        version: call.version,
    };
    let is_ephemeral = engine
        .flows()
        .resolve(&flow)
        .is_some_and(|info| !info.definition.is_durable());
    let start = Start {
        flow,
        input: Some(Data::from_json(&call.input)),
        idempotency_key: call
            .idempotency_key
            .map(|key| owned_key(call.account.as_deref(), &key)),
        owner: call.account,
        traceparent: Some(call.traceparent),
    };
    if is_ephemeral {
        let run = engine.run_ephemeral(start, call.deadline).await;
        return output(run.map_err(|error| problems::engine(&error))?);
    }
    let wait = call.wait.min(call.deadline);
    let run = engine.run(start, wait).await;
    output(run.map_err(|error| problems::engine(&error))?)
}

/// Keys of two accounts never meet.
fn owned_key(account: Option<&str>, key: &str) -> String {
    format!("{}/{key}", account.unwrap_or_default())
}

/// The answer to the call that started a run.
fn output(run: Run) -> Result<FlowAnswer, Problem> {
    match (run.status, run.error) {
        (Status::Completed, _) => {
            let output = run.output.unwrap_or_else(Data::null);
            Ok(FlowAnswer::Output(output.as_bytes().clone()))
        }
        (Status::Faulted, Some(error)) => Err(problems::fault(&error)),
        (Status::Faulted, None) => Err(problem::FLOW_FAULTED.with_detail(run.why)),
        (Status::Cancelled, _) => Err(problem::CONFLICT
            .with_detail("the run was cancelled")
            .with("run", run.id.to_string())),
        (Status::Pending | Status::Running | Status::Waiting | Status::Suspended, _) => {
            Ok(FlowAnswer::Accepted {
                id: run.id.to_string(),
            })
        }
    }
}

async fn run(engine: &Engine, id: &str, account: &str) -> Result<FlowAnswer, Problem> {
    let unknown = || problem::RUN_NOT_FOUND.with_detail(format!("there is no run `{id}`"));
    let id: RunId = id.parse().map_err(|_malformed| unknown())?;
    let found = engine.get(id).await;
    let found = found.map_err(|error| problems::engine(&error))?;
    // Whose run it is decides whether it exists: ids tell nothing to others.
    let owned = found.filter(|run| run.owner.as_deref() == Some(account));
    owned
        .map(|run| FlowAnswer::Run(shown(&run).to_string().into()))
        .ok_or_else(unknown)
}

/// What the gateway shows of a run: neither its input nor how it works.
fn shown(run: &Run) -> Value {
    let mut shown = json!({"id": run.id.to_string(), "status": run.status.as_str()});
    if let Some(output) = &run.output {
        shown["output"] = output.to_json();
    }
    if let Some(error) = &run.error {
        shown["problem"] = problems::fault(error).to_json();
    }
    shown
}

#[cfg(test)]
mod tests {
    use taraf_base::Timestamp;
    use taraf_engine::FlowId;

    use super::*;

    fn run(status: Status) -> Run {
        Run {
            id: RunId::new(7),
            flow: FlowId {
                namespace: "ro".to_owned(),
                name: "profile".to_owned(),
                version: "1.0.0".to_owned(),
            },
            status,
            why: "because".to_owned(),
            input: Data::from_json(&json!({"secret": 1})),
            output: None,
            error: None,
            created: Timestamp::EPOCH,
            started: None,
            updated: Timestamp::EPOCH,
            ended: None,
            owner: Some("acc_1".to_owned()),
            idempotency_key: None,
        }
    }

    #[test]
    fn a_completed_run_answers_its_output() {
        let mut completed = run(Status::Completed);
        completed.output = Some(Data::from_json(&json!({"ok": true})));
        match output(completed) {
            Ok(FlowAnswer::Output(value)) => assert_eq!(value, br#"{"ok":true}"#.as_slice()),
            _ => panic!("no output"),
        }
    }

    #[test]
    fn a_run_that_goes_on_is_accepted() {
        for status in [
            Status::Pending,
            Status::Running,
            Status::Waiting,
            Status::Suspended,
        ] {
            let answer = output(run(status));
            assert!(
                matches!(answer, Ok(FlowAnswer::Accepted { .. })),
                "{status}"
            );
        }
    }

    #[test]
    fn a_run_that_failed_answers_a_problem() {
        assert_eq!(output(run(Status::Cancelled)).err().unwrap().status, 409);
        assert_eq!(output(run(Status::Faulted)).err().unwrap().status, 500);
    }

    #[test]
    fn the_callers_view_shows_no_input() {
        let shown = shown(&run(Status::Waiting));
        assert_eq!(shown["status"], "waiting");
        assert!(shown.get("input").is_none() && shown.get("why").is_none());
    }

    #[test]
    fn idempotency_keys_of_two_accounts_differ() {
        assert_ne!(owned_key(Some("a"), "k"), owned_key(Some("b"), "k"));
    }
}
