//! [pure] `call`: what does not need secrets is evaluated and written down; the invoker does the rest.

use std::sync::Arc;

use taraf_flow::tasks::{Call, HttpCall, HttpOutput};
use taraf_flow::{Data, FlowError, Scope, Task, Template, Uri};

use super::super::event::{CallClass, What};
use super::super::run::Step;
use super::super::work::Work;

pub(super) fn begin(
    work: &mut Work<'_>,
    id: u32,
    step: &Step,
    task: &Task,
    call: &Call,
) -> Result<(), FlowError> {
    let Call::Http(http) = call else {
        let name = call.name();
        return Err(FlowError::configuration(format!(
            "calls of `{name}` are not built yet"
        )));
    };
    let scope = work.scope(step, task);
    let request = request(http, &step.input, &scope)?;
    work.fits("request", &request)?;
    let class = class(task, &request);
    let key: Arc<str> = format!("{}{}{}", work.run.id, step.task, step.iteration).into();
    if class == CallClass::AtMostOnce && work.run.is_spent(&key) {
        return Err(uncertain(
            "an earlier attempt made the call or may have made it, and it is made at most once",
        ));
    }
    work.bytes = work.bytes.saturating_add(request.size());
    work.record(What::Scheduled {
        step: id,
        class,
        key,
        request,
    });
    Ok(())
}

/// The parts of the request that can be known now. A part that mentions a secret or the
/// authorization is absent: its value must not be written down.
fn request(http: &HttpCall, input: &Data, scope: &Scope) -> Result<Data, FlowError> {
    let mut parts = vec![("method", http.method.eval(input, scope)?)];
    let needs_secrets = match &http.endpoint.uri {
        Uri::Template(_) => false,
        Uri::Expression(uri) => uri.mentions_secrets() || uri.mentions("authorization"),
    };
    if !needs_secrets {
        parts.push(("uri", Data::string(&http.endpoint.uri.eval(input, scope)?)));
    }
    let optional = [
        ("headers", &http.headers),
        ("query", &http.query),
        ("body", &http.body),
    ];
    for (name, template) in optional {
        if let Some(template) = template
            && !is_deferred(template)
        {
            parts.push((name, template.eval(input, scope)?));
        }
    }
    let output = match http.output {
        HttpOutput::Content => "content",
        HttpOutput::Raw => "raw",
        HttpOutput::Response => "response",
    };
    parts.push(("output", Data::string(output)));
    parts.push(("redirect", Data::from(serde_json::json!(http.redirect))));
    Ok(Data::from_entries(parts))
}

/// Type of the error of an at-most-once call of which nobody knows whether it was made, or that
/// must not be made again.
const UNCERTAIN: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/uncertain";

/// What is told of an at-most-once call that cannot be made, or not again.
pub(crate) fn uncertain(detail: impl Into<String>) -> FlowError {
    let mut error = FlowError::runtime(detail).with_title("Uncertain");
    error.type_ = UNCERTAIN.to_owned();
    error
}

/// Whether a part is evaluated when the call is sent.
pub(crate) fn is_deferred(template: &Template) -> bool {
    template.mentions_secrets() || template.mentions_authorization()
}

/// How often the call may be made: what the author says, else what the method promises.
fn class(task: &Task, request: &Data) -> CallClass {
    let says = |name: &str| {
        let ours = task.metadata.get("taraf");
        ours.and_then(|ours| ours.get(name))
            .and_then(|value| value.as_bool())
            .unwrap_or(false)
    };
    let method = request
        .get("method")
        .and_then(|method| method.as_str())
        .unwrap_or_default();
    let promises = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"];
    if says("atMostOnce") {
        CallClass::AtMostOnce
    } else if says("idempotent") || promises.contains(&method.to_ascii_uppercase().as_str()) {
        CallClass::Idempotent
    } else {
        CallClass::AtLeastOnce
    }
}
