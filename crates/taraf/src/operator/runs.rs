//! Runs: started, found, shown, cancelled, held and let go.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use taraf_base::Timestamp;
use taraf_engine::{Filter, FlowRef, JournalPage, Page, Run, RunId, Start, Status};
use taraf_flow::Data;
use taraf_service::{Problem, problem};

use super::request::{self, Body, Parameters};
use super::{Shared, page};
use crate::adapters::problems;

/// The query parameters of [`list`].
pub(crate) const LIST_QUERY: &[&str] = &[
    "q", "status", "flow", "owner", "since", "until", "after", "limit",
];

/// The longest `Idempotency-Key`.
const KEY_BYTES_MAX: usize = 255;

#[derive(Deserialize)]
pub(crate) struct StartQuery {
    wait: Option<String>,
    version: Option<String>,
}

/// `POST /v1/flows/{namespace}/{name}/runs`: the answer means that the run survives a crash.
pub(crate) async fn start(
    State(parts): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    Parameters(query): Parameters<StartQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wait = request::wait(query.wait.as_deref())?;
    let flow = FlowRef {
        namespace,
        name,
        version: query.version,
    };
    let start = Start {
        flow,
        input: input(body)?,
        idempotency_key: idempotency_key(&headers)?,
        owner: None,
        traceparent: text(&headers, "traceparent"),
    };
    let run = if is_durable(&parts, &start.flow) {
        parts.engine.run(start, wait).await.map_err(refused)?
    } else {
        let limit = if wait.is_zero() {
            request::WAIT_MAX
        } else {
            wait
        };
        let ended = parts.engine.run_ephemeral(start, limit).await;
        ended.map_err(refused)?
    };
    Ok(answer(&run))
}

/// An ephemeral flow is run within the call; an unknown one is refused by the engine.
fn is_durable(parts: &Shared, flow: &FlowRef) -> bool {
    let catalog = parts.engine.flows();
    catalog
        .resolve(flow)
        .is_none_or(|info| info.definition.is_durable())
}

fn answer(run: &Run) -> Response {
    if run.status.is_final() {
        return (StatusCode::OK, Json(run)).into_response();
    }
    let location = format!("/v1/runs/{}", run.id);
    (StatusCode::ACCEPTED, [(LOCATION, location)], Json(run)).into_response()
}

fn input(body: Body) -> Result<Option<Data>, Problem> {
    if body.0.is_empty() {
        return Ok(None);
    }
    Data::from_bytes(body.0)
        .map(Some)
        .map_err(|error| problem::BAD_REQUEST.with_detail(format!("the input: {error}")))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let key = text(headers, "idempotency-key");
    match &key {
        Some(key) if key.is_empty() || key.len() > KEY_BYTES_MAX => {
            let detail = format!("`Idempotency-Key` has 1 to {KEY_BYTES_MAX} bytes");
            Err(problem::BAD_REQUEST.with_detail(detail))
        }
        _ => Ok(key),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    q: Option<String>,
    status: Option<String>,
    flow: Option<String>,
    owner: Option<String>,
    since: Option<String>,
    until: Option<String>,
    after: Option<String>,
    limit: Option<String>,
}

/// `GET /v1/runs`.
pub(crate) async fn list(
    State(parts): State<Shared>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let (filter, wanted) = selection(query)?;
    let found = parts.engine.list(&filter, &wanted).await.map_err(refused)?;
    let items = found.runs.iter().map(shown).collect();
    let Json(mut page) = page(items, found.next);
    if !found.unled.is_empty() {
        page["unled"] = found.unled.iter().map(|partition| partition.0).collect();
    }
    Ok(Json(page))
}

/// What a query asks for.
fn selection(query: ListQuery) -> Result<(Filter, Page), Problem> {
    let time = |name, text: Option<String>| -> Result<Option<Timestamp>, Problem> {
        text.map(|text| request::parse(name, &text)).transpose()
    };
    let status = query.status.filter(|text| !text.is_empty());
    let filter = Filter {
        status: status
            .map(|text| request::parse::<Status>("status", &text))
            .transpose()?,
        flow: query.flow.as_deref().map(flow_ref).transpose()?,
        owner: query.owner,
        since: time("since", query.since)?,
        until: time("until", query.until)?,
        q: query.q.filter(|text| !text.is_empty()),
    };
    let mut wanted = Page {
        after: query.after,
        ..Page::default()
    };
    if let Some(limit) = query.limit {
        wanted.limit = request::parse("limit", &limit)?;
    }
    if !(1..=Page::MAX).contains(&wanted.limit) {
        let detail = format!("`limit`: from 1 to {}", Page::MAX);
        return Err(problem::BAD_REQUEST.with_detail(detail));
    }
    Ok((filter, wanted))
}

/// `NAMESPACE/NAME` or `NAMESPACE/NAME/VERSION`.
fn flow_ref(text: &str) -> Result<FlowRef, Problem> {
    let mut parts = text.splitn(3, '/').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(namespace), Some(name), version) => Ok(FlowRef {
            namespace,
            name,
            version,
        }),
        _ => {
            Err(problem::BAD_REQUEST
                .with_detail("`flow`: NAMESPACE/NAME or NAMESPACE/NAME/VERSION"))
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct ShowQuery {
    wait: Option<String>,
}

/// `GET /v1/runs/{id}`.
pub(crate) async fn show(
    State(parts): State<Shared>,
    Path(id): Path<String>,
    Parameters(query): Parameters<ShowQuery>,
) -> Result<Json<Run>, Problem> {
    let id = request::parse("id", &id)?;
    let wait = request::wait(query.wait.as_deref())?;
    let run = parts.engine.wait(id, wait).await.map_err(refused)?;
    Ok(Json(run))
}

#[derive(Deserialize)]
pub(crate) struct JournalQuery {
    after: Option<String>,
    limit: Option<String>,
}

/// `GET /v1/runs/{id}/journal`.
pub(crate) async fn journal(
    State(parts): State<Shared>,
    Path(id): Path<String>,
    Parameters(query): Parameters<JournalQuery>,
) -> Result<Json<Value>, Problem> {
    let id: RunId = request::parse("id", &id)?;
    let after = query
        .after
        .map_or(Ok(0), |text| request::parse("after", &text))?;
    let limit = query.limit.map(|text| request::parse("limit", &text));
    let limit = limit.transpose()?.unwrap_or(JournalPage::MAX);
    if !(1..=JournalPage::MAX).contains(&limit) {
        let detail = format!("`limit`: from 1 to {}", JournalPage::MAX);
        return Err(problem::BAD_REQUEST.with_detail(detail));
    }
    let found = parts
        .engine
        .journal(id, after, limit)
        .await
        .map_err(refused)?;
    let next = found.next.map(|next| next.to_string());
    Ok(page(found.entries.iter().map(shown).collect(), next))
}

/// `POST /v1/runs/{id}/cancel`.
pub(crate) async fn cancel(
    State(parts): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Run>, Problem> {
    let run = parts.engine.cancel(request::parse("id", &id)?).await;
    run.map(Json).map_err(refused)
}

/// `POST /v1/runs/{id}/suspend`.
pub(crate) async fn suspend(
    State(parts): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Run>, Problem> {
    let run = parts.engine.suspend(request::parse("id", &id)?).await;
    run.map(Json).map_err(refused)
}

/// `POST /v1/runs/{id}/resume`.
pub(crate) async fn resume(
    State(parts): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Run>, Problem> {
    let run = parts.engine.resume(request::parse("id", &id)?).await;
    run.map(Json).map_err(refused)
}

fn shown<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: taraf_engine::Error) -> Problem {
    problems::engine(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> ListQuery {
        ListQuery {
            q: None,
            status: None,
            flow: None,
            owner: None,
            since: None,
            until: None,
            after: None,
            limit: None,
        }
    }

    #[test]
    fn an_empty_query_asks_for_the_newest_runs() {
        let (filter, page) = selection(query()).ok().unwrap();
        assert!(filter.status.is_none() && filter.flow.is_none() && filter.q.is_none());
        assert_eq!(page.limit, Page::default().limit);
    }

    #[test]
    fn a_query_is_read() {
        let (filter, page) = selection(ListQuery {
            status: Some("waiting".to_owned()),
            flow: Some("ro/supplier-check/1.0.0".to_owned()),
            since: Some("2026-01-02T03:04:05Z".to_owned()),
            limit: Some("7".to_owned()),
            ..query()
        })
        .ok()
        .unwrap();
        assert_eq!(filter.status, Some(Status::Waiting));
        assert_eq!(filter.flow.unwrap().version.as_deref(), Some("1.0.0"));
        assert!(filter.since.is_some());
        assert_eq!(page.limit, 7);
    }

    fn check_refused(query: ListQuery, expected: &str) {
        let problem = selection(query).err().unwrap();
        let detail = problem.detail.unwrap();
        assert!(detail.starts_with(expected), "{detail}");
    }

    #[test]
    fn a_wrong_value_is_named() {
        let text = |text: &str| Some(text.to_owned());
        check_refused(
            ListQuery {
                status: text("dancing"),
                ..query()
            },
            "`status`: ",
        );
        check_refused(
            ListQuery {
                flow: text("alone"),
                ..query()
            },
            "`flow`: ",
        );
        check_refused(
            ListQuery {
                limit: text("0"),
                ..query()
            },
            "`limit`: ",
        );
        check_refused(
            ListQuery {
                limit: text("501"),
                ..query()
            },
            "`limit`: ",
        );
        check_refused(
            ListQuery {
                until: text("tomorrow"),
                ..query()
            },
            "`until`: ",
        );
    }
}
