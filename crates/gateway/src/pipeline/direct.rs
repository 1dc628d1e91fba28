//! The stages of a call that passes as bytes. Those before the call of the service are the same as of
//! any other; what they refuse is left to the ordinary way, which says so.

use http::response::Parts;
use http::{Method, Request, Response};
use taraf_service::client::{DirectBody, DirectRequest, Missed};
use taraf_service::wire::RequestHead;
use taraf_service::{Body, CallPolicy, Problem, trace};
use tokio_util::sync::CancellationToken;

use super::target;
use super::*;
use crate::direct::Marks;
use crate::direct::heads::{self, Given, Line};

/// A request that may pass as bytes.
pub(crate) struct Passing<'a, 'h, 'b> {
    pub(crate) head: &'a RequestHead<'h, 'b>,
    pub(crate) marks: Marks<'b>,
    pub(crate) method: &'a Method,
    pub(crate) body: &'a [u8],
}

/// How far a call came.
pub(crate) enum Headed {
    /// The head of its answer is written; the body follows. It may say that no other call is taken.
    Written { body: DirectBody, is_last: bool },
    /// An answer that does not pass as bytes.
    Taken(Box<Parts>, DirectBody),
    /// The service did not answer at the first try.
    Missed(Missed),
    /// Its plan does not allow it.
    Problem(Problem),
}

/// Whether a request passes as bytes. If so, what is sent to the service is written, and the call has
/// begun: it is known who makes it.
pub(crate) fn passes(
    gateway: &Arc<Shared>,
    routes: &Routes,
    peer: &Arc<Peer>,
    passing: &Passing<'_, '_, '_>,
    out: &mut Vec<u8>,
) -> Option<Box<Call>> {
    let Passing {
        head,
        marks,
        method,
        body,
    } = *passing;
    // OPTIONS may be a browser's question.
    if marks.has_twice || gateway.config.trust_forwarded || *method == Method::OPTIONS {
        return None;
    }
    let (path, query) = match head.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (head.target, None),
    };
    if !query.is_none_or(is_plain_query) {
        return None;
    }
    let segments = Segments::read(path).ok()?;
    let entry = routes.entry(method, &segments).ok()?;
    let (Some(service), None) = (&entry.service, &entry.features) else {
        return None;
    };
    let body_max = entry.route.body_bytes_max;
    let body_max = body_max.unwrap_or(gateway.config.limits.body_bytes);
    if u64::try_from(body.len()).is_ok_and(|length| length > body_max) {
        return None;
    }
    let caller = match entry.route.auth {
        Auth::Open => None,
        Auth::Key => {
            let key = api_key::of(marks.api_key, marks.authorization)?;
            Some(gateway.accounts.identify(key)?)
        }
        Auth::Any(_) => return None,
    };
    let facts = Facts {
        method: method.clone(),
        path: path.into(),
        request_id: trace::request_id_or(marks.request_id, trace::random_id),
        trace: heads::trace(marks.traceparent),
        form: ErrorForm::of_values(path, accepts(head)),
    };
    let mut call = Call::begin(gateway, Arc::clone(peer), Place::Direct, facts);
    call.caller = caller;
    call.take(entry);
    let to = entry.path_at_service(&segments);
    let line = Line {
        method: head.method,
        path: &to,
        query,
        host: service.host(),
        peer: &peer.lines,
    };
    heads::request(out, &line, head.headers, &call.hop());
    out.extend_from_slice(body);
    Some(call)
}

/// What a URI may hold without being looked at again (RFC 3986 §3.4).
fn is_plain_query(query: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    query.bytes().all(is_plain)
}

fn accepts<'h>(head: &'h RequestHead<'_, '_>) -> impl Iterator<Item = &'h str> {
    head.headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("accept"))
        .filter_map(|header| std::str::from_utf8(header.value).ok())
}

/// Whether no other call is taken behind this one: its caller says so, or a stop has come.
#[derive(Clone, Copy)]
pub(crate) struct Last<'a> {
    pub(crate) is_asked: bool,
    pub(crate) stop: &'a CancellationToken,
}

/// Spends what the call costs, sends what was written, and writes the head of the answer.
pub(crate) async fn pass(
    gateway: &Shared,
    call: &mut Box<Call>,
    request: &[u8],
    last: Last<'_>,
    out: &mut Vec<u8>,
) -> Headed {
    let cost = call.route.as_ref().map_or(0, |entry| entry.route.cost);
    if let Err(problem) = plan(gateway, call, cost).await {
        return Headed::Problem(problem);
    }
    let Some(entry) = &call.route else {
        return Headed::Problem(problem::INTERNAL.new());
    };
    let Some(service) = &entry.service else {
        return Headed::Problem(problem::INTERNAL.new());
    };
    let policy = target::policy(gateway, entry);
    let request = DirectRequest {
        method: &call.method,
        bytes: request,
    };
    let mut given = Given {
        request_id: &call.request_id,
        standing: call.standing.as_ref(),
        is_head: call.method == Method::HEAD,
        is_last: last.is_asked,
    };
    let read = |head: &taraf_service::wire::AnswerHead<'_, '_>| {
        given.is_last |= last.stop.is_cancelled();
        if heads::answer(out, head, &given) {
            return Some((head.status, None));
        }
        heads::owned(head).map(|parts| (head.status, Some(Box::new(parts))))
    };
    let passed = gateway.client.pass(request, service, &policy, read).await;
    let is_last = given.is_last;
    match passed {
        Err(missed) => Headed::Missed(missed),
        Ok((Some((status, None)), body)) => {
            call.ending.status = status;
            Headed::Written { body, is_last }
        }
        Ok((Some((_status, Some(parts))), body)) => Headed::Taken(parts, body),
        Ok((None, _body)) => Headed::Problem(
            problem::UPSTREAM_BROKEN.with_detail("the answer's head cannot be read"),
        ),
    }
}

/// Goes on with a call that the service did not answer at the first try, in the ordinary way.
pub(crate) async fn pass_again(
    call: Box<Call>,
    missed: Missed,
    mut request: Request<Body>,
) -> Response<Outbound> {
    let answered = async {
        let missing = || problem::INTERNAL.new();
        let entry = call.route.as_ref().ok_or_else(missing)?;
        let service = entry.service.as_ref().ok_or_else(missing)?;
        let path = Segments::read(request.uri().path()).map_err(unreadable)?;
        let to = entry.path_at_service(&path);
        let uri = target::uri(to, request.uri().query())?;
        target::prepare(uri, &call.hop(), &mut request);
        let policy = target::policy(&call.gateway, entry);
        let again = call.gateway.client.again(missed, request, service, &policy);
        target::answered(&call.request_id, again.await)
    };
    match answered.await {
        Ok(response) => {
            let response = call.form.translated(response).await;
            meter(call, response)
        }
        Err(problem) => refused(call, &problem),
    }
}

/// The answer to a call that is refused.
pub(crate) fn refused(call: Box<Call>, problem: &Problem) -> Response<Outbound> {
    let response = call.form.response(problem);
    meter(call, response)
}

/// The answer of a service that does not pass as bytes.
pub(crate) async fn taken(call: Box<Call>, parts: Parts, body: DirectBody) -> Response<Outbound> {
    let idle = call.body_idle(&parts.headers);
    let response = Response::from_parts(parts, body.into_body(idle));
    let response = call.form.translated(response).await;
    meter(call, response)
}

impl Call {
    /// When its answer must have ended.
    pub(crate) fn until(&self) -> Instant {
        self.started + self.gateway.config.limits.total
    }

    /// The longest pause within the body of its answer.
    pub(crate) fn body_idle(&self, headers: &HeaderMap) -> Duration {
        if client::is_stream(headers) {
            self.gateway.config.limits.stream_idle
        } else {
            CallPolicy::default().body_idle
        }
    }

    /// So many bytes of the body were passed on.
    pub(crate) fn passed(&mut self, bytes: usize) {
        self.ending.bytes += u64::try_from(bytes).unwrap_or(0);
    }

    /// All of the body was.
    pub(crate) const fn is_whole(&mut self) {
        self.ending.is_whole = true;
    }
}
