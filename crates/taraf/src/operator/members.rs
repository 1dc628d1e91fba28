//! Members of the cluster, and who doubted whom.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use taraf_base::Timestamp;
use taraf_gossip::cluster::Seen;
use taraf_gossip::rpc::Agent as _;
use taraf_gossip::wire::Name;
use taraf_service::{Problem, problem};

use super::request::{Body, Parameters};
use super::{Shared, page};
use crate::adapters::discovery;
use crate::membership::{Membership, word};

/// The member that this node is.
pub(super) fn membership(parts: &Shared) -> Result<&Arc<Membership>, Problem> {
    let none = || problem::CONFLICT.with_detail("this node is no member: gossip.enabled is false");
    parts.membership.as_ref().ok_or_else(none)
}

/// A status as it stands in a query.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Alive,
    Suspect,
    Leaving,
    Left,
    Failed,
}

impl Wanted {
    const fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    status: Option<Wanted>,
    service: Option<String>,
}

/// `GET /v1/members`: nobody, where the node is no member itself.
pub(crate) async fn list(
    State(parts): State<Shared>,
    Parameters(query): Parameters<ListQuery>,
) -> Json<Value> {
    let Some(membership) = &parts.membership else {
        return page(Vec::new(), None);
    };
    let members = membership.members().borrow().clone();
    let is_wanted = |seen: &&Seen| {
        let offers = |service: &str| {
            let offered = discovery::offer(&seen.member).services;
            offered.iter().any(|(name, _)| name.as_str() == service)
        };
        let is_so = |status: Wanted| word(seen) == status.word();
        query.status.is_none_or(is_so) && query.service.as_deref().is_none_or(offers)
    };
    let items = members.all.iter().filter(is_wanted);
    page(items.map(|seen| item(membership, seen)).collect(), None)
}

/// `GET /v1/members/{name}`: one member, and what was said about it lately.
pub(crate) async fn show(
    State(parts): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let membership = membership(&parts)?;
    let members = membership.members().borrow().clone();
    let name = Name::from(name.as_str());
    let seen = members.get(&name).ok_or_else(|| unknown(&name))?;
    let mut shown = item(membership, seen);
    shown["history"] = past(membership, Some(&name)).into();
    Ok(Json(shown))
}

fn unknown(name: &Name) -> Problem {
    problem::NOT_FOUND.with_detail(format!("no member is called `{name}`"))
}

/// `GET /v1/gossip/history`: who doubted whom lately, and why; the newest last.
pub(crate) async fn history(State(parts): State<Shared>) -> Result<Json<Value>, Problem> {
    Ok(page(past(membership(&parts)?, None), None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    addresses: Vec<String>,
    /// Whether user events from before are told as if they happened now.
    #[serde(default)]
    replay: bool,
}

/// `POST /v1/members`: makes this node one of the cluster of those at the addresses.
pub(crate) async fn join(State(parts): State<Shared>, body: Body) -> Result<Json<Value>, Problem> {
    let wanted: Join = body.json()?;
    if wanted.addresses.is_empty() {
        return Err(problem::BAD_REQUEST.with_detail("`addresses` names nobody"));
    }
    let joined = membership(&parts)?.served();
    let joined = joined.join(wanted.addresses, wanted.replay).await;
    match joined.error {
        Some(why) => Err(problem::CONFLICT.with_detail(why.0.trim())),
        None => Ok(Json(json!({"joined": joined.count}))),
    }
}

#[derive(Deserialize)]
pub(crate) struct RemoveQuery {
    #[serde(default)]
    prune: bool,
}

/// `DELETE /v1/members/{name}`: a failed member is one that left from now on; with `prune` it is forgotten.
pub(crate) async fn remove(
    State(parts): State<Shared>,
    Path(name): Path<String>,
    Parameters(query): Parameters<RemoveQuery>,
) -> Result<StatusCode, Problem> {
    let membership = membership(&parts)?;
    let name = Name::from(name.as_str());
    let members = membership.members().borrow().clone();
    let seen = members.get(&name).ok_or_else(|| unknown(&name))?;
    if name == membership.reading().me {
        return Err(problem::CONFLICT.with_detail("this node leaves when it is stopped"));
    }
    if matches!(word(seen), "alive" | "suspect") && !query.prune {
        let why = format!("`{name}` is {}: it would come back at once", word(seen));
        return Err(problem::CONFLICT.with_detail(why));
    }
    let removed = membership.served().force_leave(name, query.prune).await;
    let refused = |why: taraf_gossip::rpc::Refused| problem::CONFLICT.with_detail(why.0);
    removed.map(|()| StatusCode::NO_CONTENT).map_err(refused)
}

fn item(membership: &Membership, seen: &Seen) -> Value {
    let member = &seen.member;
    let offer = discovery::offer(member);
    let services = offer.services.iter().map(|(name, endpoint)| {
        json!({"name": name, "address": endpoint.address, "weight": endpoint.weight})
    });
    let me = &membership.reading().me;
    let rtt = membership.handle().round_trip(me, &member.name);
    let rtt = rtt.filter(|_| member.name != *me);
    let versions = member.versions;
    json!({
        "name": member.name.to_string(),
        "address": member.address.socket(member.port),
        "status": word(seen),
        "self": member.name == *me,
        "tags": member.tags.0,
        "services": services.collect::<Vec<_>>(),
        "troubles": offer.troubles,
        "accusers": seen.accusers,
        "rtt_us": rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
        "protocol": versions.protocol,
        "serf": versions.delegate,
    })
}

fn past(membership: &Membership, of: Option<&Name>) -> Vec<Value> {
    let now = Timestamp::now().as_millis();
    let handle = membership.handle();
    let entries = handle.history();
    let entries = entries.iter();
    let wanted = entries.filter(|entry| of.is_none_or(|name| entry.node == *name));
    let item = |entry: &taraf_gossip::serf::Entry| {
        let ago = i64::try_from(handle.ago(entry.at).as_millis()).unwrap_or(i64::MAX);
        json!({
            "at": Timestamp::from_millis(now.saturating_sub(ago)),
            "member": entry.node.to_string(),
            "verdict": entry.verdict.word(),
            "by": entry.by.as_ref().map(ToString::to_string),
            "why": entry.why,
        })
    };
    wanted.map(item).collect()
}
