//! One service's endpoints: chosen for a call, left alone after failures, seen by operators.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Rng;

use crate::balance::{self, Weights};
use crate::client::{Config, Shared};
use crate::metrics::{Counter, Histogram};
use crate::retry::Budget;
use crate::{CallError, Endpoint, Transport, outlier};

mod connection;
mod dial;
mod direct;
mod lease;
mod member;
mod multiplexed;
mod reply;

pub(crate) use connection::{Broken, service_tls, web_tls};
pub(crate) use direct::{Direct, PIECE_BYTES_MAX, Silence};
pub(crate) use lease::Lease;
pub(crate) use member::{Member, Outcome};
pub(crate) use reply::Reply;

/// How often an endpoint is chosen anew when its breaker lets another call try first.
const CHOICES_MAX: u32 = 4;

/// What an endpoint does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointState {
    /// Taking calls.
    Closed,
    /// Refusing calls after failures.
    Open,
    /// One call tries.
    HalfOpen,
    /// Taken out because it fails more than its equals.
    Ejected,
    /// Taken out by an operator; calls under way end.
    Drained,
}

/// One endpoint, for operators.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct EndpointView {
    /// Where it listens: `IP:PORT`, or `SCHEME://HOST:PORT` outside the directory.
    pub address: String,
    /// Its share of the calls.
    pub weight: u32,
    /// Calls under way, bodies included.
    pub in_flight: u32,
    /// Connections kept for the next call.
    pub idle: u32,
    /// What it does with calls.
    pub state: EndpointState,
    /// Calls that ended since it was first seen.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// Moving average of the time to the answer's head.
    pub latency_us: u64,
}

/// One pool, for operators.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PoolView {
    /// The service, or the origin outside the directory.
    pub name: String,
    /// Its endpoints, in the order of the directory.
    pub endpoints: Vec<EndpointView>,
}

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An endpoint of the directory, and how it is spoken to.
    Endpoint(SocketAddr, Transport),
    /// A host outside it.
    Origin { host: String, port: u16, tls: bool },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(address, _) => write!(f, "{address}"),
            Self::Origin { host, port, tls } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme}://{host}:{port}")
            }
        }
    }
}

/// What outlives a change of the directory.
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) budget: Budget,
    pub(crate) answered: Counter,
    pub(crate) answered_error: Counter,
    pub(crate) failed: Counter,
    pub(crate) retries: Counter,
    pub(crate) connections: Counter,
    pub(crate) latency: Histogram,
}

/// One service's endpoints as one directory names them. Never changed: a new directory makes a new
/// pool around the members that stay, so that calls under way notice nothing.
pub(crate) struct Pool {
    pub(crate) standing: Arc<Standing>,
    weights: Weights,
    members: Box<[(u32, Arc<Member>)]>,
    /// Whether calls may pass as bytes: all members speak HTTP/1.1 without TLS.
    pub(crate) is_direct: bool,
}

impl Pool {
    /// The pool of a service. Members that `before` has are kept with all that is known of them.
    pub(crate) fn of_service(
        standing: Arc<Standing>,
        endpoints: &[Endpoint],
        before: Option<&Self>,
        config: &Config,
    ) -> Self {
        let member = |endpoint: &Endpoint| {
            let place = Place::Endpoint(endpoint.address, endpoint.transport.clone());
            let known = before.and_then(|pool| pool.find(&place).cloned());
            let member = known.unwrap_or_else(|| Arc::new(Member::new(place, config.breaker)));
            member.drain(endpoint.drained);
            (endpoint.weight, member)
        };
        let pool = Self {
            standing,
            weights: Weights::new(endpoints.iter().map(|endpoint| endpoint.weight)),
            members: endpoints.iter().map(member).collect(),
            is_direct: endpoints
                .iter()
                .all(|endpoint| endpoint.transport == Transport::Http1),
        };
        if let Some(before) = before {
            before.retire_except(&pool);
        }
        pool
    }

    /// The pool of a host outside the directory.
    pub(crate) fn of_origin(standing: Arc<Standing>, place: Place, config: &Config) -> Self {
        let is_direct = matches!(place, Place::Origin { tls: false, .. });
        Self {
            standing,
            weights: Weights::new([1]),
            members: Box::new([(1, Arc::new(Member::new(place, config.breaker)))]),
            is_direct,
        }
    }

    fn find(&self, place: &Place) -> Option<&Arc<Member>> {
        let mut members = self.members.iter().map(|(_, member)| member);
        members.find(|member| member.place == *place)
    }

    fn retire_except(&self, staying: &Self) {
        for (_, member) in &self.members {
            if staying.find(&member.place).is_none() {
                member.retire();
            }
        }
    }

    /// Closes what is kept: the service is gone.
    pub(crate) fn retire(&self) {
        self.members.iter().for_each(|(_, member)| member.retire());
    }

    /// Chooses an endpoint for a call. The one that just failed the call is avoided while another
    /// can take it; ejected ones are used when nobody else can.
    pub(crate) fn lease(
        &self,
        shared: &Arc<Shared>,
        avoid: Option<&Arc<Member>>,
    ) -> Result<Lease, CallError> {
        // Where there is no choice, chance is not asked: its counter is shared by all cores.
        let mut rng = match self.members.len() {
            0 | 1 => Rng::new(0),
            _several => shared.rng(),
        };
        let in_flight_max = shared.config.in_flight_max;
        for round in 0..CHOICES_MAX {
            let now = shared.now();
            let is_strict = round == 0;
            let load = |index: usize| {
                let member = &self.members[index].1;
                let load = member.in_flight();
                let is_avoided = avoid.is_some_and(|avoided| Arc::ptr_eq(avoided, member));
                let refused = is_strict && (is_avoided || member.is_ejected(now));
                let refused = refused || member.is_drained();
                (load < in_flight_max && !refused && member.permits(now)).then_some(load)
            };
            match balance::choose(&self.weights, &mut rng, load) {
                None if is_strict => {}
                None => break,
                Some(index) => {
                    let member = &self.members[index].1;
                    if let Some(ticket) = member.enter(now) {
                        return Ok(Lease::new(Arc::clone(member), ticket, Arc::clone(shared)));
                    }
                }
            }
        }
        Err(self.refusal(shared))
    }

    fn refusal(&self, shared: &Shared) -> CallError {
        let name = self.standing.name.clone();
        let is_full =
            |(_, member): &(u32, Arc<Member>)| member.in_flight() >= shared.config.in_flight_max;
        if self.members.iter().all(|(_, member)| member.is_drained()) {
            CallError::NoEndpoint(name)
        } else if self.members.iter().any(is_full) {
            CallError::Overloaded(name)
        } else {
            CallError::BreakerOpen(name)
        }
    }

    /// Calls under way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.members
            .iter()
            .map(|(_, member)| member.in_flight())
            .sum()
    }

    pub(crate) fn sweep(&self, idle_timeout: Duration, now: Duration) {
        for (_, member) in &self.members {
            member.sweep(idle_timeout, now);
        }
    }

    /// Ejects endpoints that fail more than their equals, and takes them back.
    pub(crate) fn judge(&self, config: &outlier::Config, now: Duration) {
        let members = self.members.iter().map(|(_, member)| member);
        let samples: Vec<_> = members
            .clone()
            .map(|member| member.end_interval())
            .collect();
        for (member, verdict) in members.zip(outlier::judge(config, &samples, now)) {
            if let outlier::Verdict::Eject { .. } = verdict {
                tracing::warn!(
                    service = self.standing.name,
                    endpoint = %member.place,
                    "ejected: it fails more than its equals"
                );
            }
            member.accept(verdict);
        }
    }

    pub(crate) fn view(&self, now: Duration) -> PoolView {
        PoolView {
            name: self.standing.name.clone(),
            endpoints: self
                .members
                .iter()
                .map(|(weight, member)| member.view(*weight, now))
                .collect(),
        }
    }
}

/// Chance for one choice: a numbered sequence of generators needs no lock.
pub(crate) fn rng_of(seed: u64, number: u64) -> Rng {
    Rng::new(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
