//! A call on its way to a service: all that is needed of its caller, so that it can go on without it.

use std::sync::Arc;

use http::header::HeaderValue;
use http::{Request, Response, Uri};
use taraf_base::random_u64;
use taraf_service::trace::TraceContext;
use taraf_service::{Body, CallPolicy, Problem, problem};

use super::{Call, target};
use crate::auth::api_key::Caller;
use crate::connection::Peer;
use crate::features::{Features, canary, json, mirror, transform};
use crate::forward::Hop;
use crate::path::{Pattern, Segments};
use crate::routes::{Entry, Match};
use crate::server::Shared;

/// A call of a route that has features.
pub(super) struct Onward {
    pub(super) gateway: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
    pub(super) values: Vec<String>,
    /// The caller's path in its canonical spelling.
    pub(super) path: String,
    peer: Arc<Peer>,
    pub(super) caller: Option<Arc<Caller>>,
    request_id: HeaderValue,
    trace: TraceContext,
    /// Whether it goes to the route's canary.
    pub(super) is_canary: bool,
}

impl Onward {
    /// Takes the call out of its caller's hands, and chooses which of the route's services it goes to.
    pub(super) fn of(
        gateway: &Arc<Shared>,
        call: &Call,
        route: &Match<'_>,
        path: &Segments<'_>,
        request: &Request<Body>,
    ) -> Self {
        let features = route.entry.features.as_deref();
        let is_canary = features
            .and_then(|features| features.canary.as_ref())
            .is_some_and(|plan| {
                let marks = canary::Marks {
                    headers: request.headers(),
                    caller: call.caller.as_deref(),
                    address: call.peer.address.ip(),
                };
                plan.takes(&marks, random_u64)
            });
        Self {
            gateway: Arc::clone(gateway),
            entry: Arc::clone(route.entry),
            values: route.values.clone(),
            path: path.canonical(),
            peer: Arc::clone(&call.peer),
            caller: call.caller.clone(),
            request_id: call.request_id.clone(),
            trace: call.trace,
            is_canary,
        }
    }

    pub(super) fn policy(&self) -> CallPolicy {
        let mut policy = target::policy(&self.gateway, &self.entry);
        if let Some(limits) = self
            .features()
            .and_then(|features| features.limits.as_ref())
        {
            limits.tighten(&mut policy);
        }
        policy
    }

    /// The path at the service, as the route says.
    pub(super) fn target_path(&self) -> String {
        self.path_at(None)
    }

    fn features(&self) -> Option<&Features> {
        self.entry.features.as_deref()
    }

    /// The path at one of the route's services: its own pattern, else the route's, else the caller's path.
    fn path_at(&self, own: Option<&Pattern>) -> String {
        let pattern = own.or(self.entry.target_path.as_ref());
        let filled = pattern.map(|pattern| self.entry.fill(pattern, &self.values));
        filled.unwrap_or_else(|| self.path.clone())
    }

    /// Changes the request, calls the service, changes the answer.
    pub(super) async fn fetch(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Problem> {
        let (Some(features), Some(service)) = (self.features(), &self.entry.service) else {
            return Err(problem::INTERNAL.new());
        };
        let plan = features.transform.as_ref();
        let is_described = plan.is_some_and(transform::Plan::asks_for_request);
        let described = is_described
            .then(|| json::described(&self.entry, &self.values, self.caller.as_deref(), &request));
        let described = described.transpose()?;
        let method = request.method().clone();
        if let Some(plan) = plan
            && let Some(made) = &plan.request_body
        {
            request = json::request(plan, made, described.clone(), request).await?;
        }
        let query = match plan {
            Some(plan) => plan.change_query(request.uri(), &self.values),
            None => request.uri().query().map(str::to_owned),
        };
        let canary = features.canary.as_ref().filter(|_| self.is_canary);
        let to = self.path_at(canary.and_then(|canary| canary.path.as_ref()));
        let hop = self.hop();
        target::prepare(target::uri(to, query.as_deref())?, &hop, &mut request);
        if let Some(plan) = plan {
            plan.change_request(request.headers_mut(), &self.values);
        }
        if let Some(mirror) = &features.mirror {
            request = self.copied(mirror, query.as_deref(), request)?;
        }
        let service = canary.map_or(service, |canary| &canary.service);
        let policy = self.policy();
        let answered =
            target::send(&self.gateway, &self.request_id, service, &policy, request).await?;
        let Some(plan) = plan else {
            return Ok(answered);
        };
        let made = plan.response_body.as_ref();
        let made = made.filter(|_| json::concerns(&method, &answered));
        let mut answered = match made {
            Some(made) => json::answer(plan, made, described, answered, policy.deadline).await?,
            None => answered,
        };
        plan.change_answer(answered.headers_mut(), &self.values, made.is_some());
        Ok(answered)
    }

    fn copied(
        &self,
        plan: &mirror::Plan,
        query: Option<&str>,
        request: Request<Body>,
    ) -> Result<Request<Body>, Problem> {
        let uri: Uri = target::uri(self.path_at(plan.path.as_ref()), query)?;
        let sender = mirror::Sender {
            client: self.gateway.client.clone(),
            tasks: self.gateway.background.clone(),
            counts: self.gateway.metrics.mirrored.clone(),
        };
        Ok(plan.copy(uri, request, &sender, random_u64()))
    }

    fn hop(&self) -> Hop<'_> {
        Hop {
            peer: &self.peer.text,
            is_secure: self.peer.is_secure,
            trust_forwarded: self.gateway.config.trust_forwarded,
            caller: self.caller.as_deref(),
            request_id: &self.request_id,
            trace: self.trace,
        }
    }
}
