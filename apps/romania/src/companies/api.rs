//! The HTTP face of the companies service.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::{Deserialize, Serialize};
use taraf_service::Problem;

use super::record::{Balance, Company, Entry, Hit};
use super::search::{PAGE_SIZE, Query};
use super::service::Companies;
use crate::cui::Cui;
use crate::extract::{Document, Params};
use crate::problems;
use crate::reason::Reason;
use crate::register::RegisterError;

/// Codes in one question to `/companies/lookup`.
const MAX_LOOKUP: usize = 500;
/// Longest text that is searched for.
const MAX_QUERY_BYTES: usize = 200;
/// When a code that is not in the register may be asked for again.
const RETRY_SECONDS: &str = "3600";

/// The router over the service.
pub(super) fn router(companies: Companies) -> Router {
    Router::new()
        .route("/companies/search", get(search_by_query).post(search))
        .route("/companies/lookup", post(lookup))
        .route("/companies/{cif}", get(company))
        .route("/companies/{cif}/register", get(entry))
        .route("/companies/{cif}/balances", get(balances))
        .route("/companies/{cif}/balances/latest", get(newest_balance))
        .route("/companies/{cif}/balances/{year}", get(balance))
        .with_state(companies)
}

/// The code is right, but nothing is registered under it.
#[derive(Serialize)]
struct Unknown {
    cif: String,
    status: &'static str,
    detail: &'static str,
}

#[derive(Deserialize)]
struct Search {
    #[serde(default, alias = "query")]
    q: String,
    judet: Option<String>,
    #[serde(default)]
    include_radiata: bool,
    page: Option<usize>,
}

#[derive(Serialize)]
struct Found {
    data: Vec<Hit>,
    meta: FoundMeta,
}

#[derive(Serialize)]
struct FoundMeta {
    page: usize,
    per_page: usize,
    total: usize,
}

#[derive(Deserialize)]
struct Lookup {
    cifs: Vec<String>,
}

#[derive(Default, Serialize)]
struct LookedUp {
    data: Vec<Company>,
    unknown: Vec<String>,
    invalid: Vec<Refused>,
    failed: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    cif: String,
    code: String,
    message: String,
}

async fn company(
    State(companies): State<Companies>,
    Path(cif): Path<String>,
) -> Result<Response, Problem> {
    let cui = read(&cif)?;
    let company = companies.get(cui).await.map_err(|error| error.problem())?;
    Ok(company.map_or_else(|| unknown(cui), |company| Json(company).into_response()))
}

async fn entry(
    State(companies): State<Companies>,
    Path(cif): Path<String>,
) -> Result<Json<Entry>, Problem> {
    let found = companies.entry(read(&cif)?).await;
    match found.map_err(|error| unreadable(&error))? {
        Some(Some(entry)) => Ok(Json(entry)),
        Some(None) => Err(problems::NOT_REGISTERED.new()),
        None => Err(problems::NO_REGISTER.new()),
    }
}

async fn balances(
    State(companies): State<Companies>,
    Path(cif): Path<String>,
) -> Result<Json<Vec<Balance>>, Problem> {
    let all = companies.all_balances(read(&cif)?).await;
    all.map(Json).map_err(|error| error.problem())
}

async fn newest_balance(
    State(companies): State<Companies>,
    Path(cif): Path<String>,
) -> Result<Json<Balance>, Problem> {
    let newest = companies.newest_balance(read(&cif)?).await;
    match newest.map_err(|error| error.problem())? {
        Some(balance) => Ok(Json(balance)),
        None => Err(problems::NO_BALANCE.with_detail("no balance of any year is published")),
    }
}

async fn balance(
    State(companies): State<Companies>,
    Path((cif, year)): Path<(String, String)>,
) -> Result<Json<Balance>, Problem> {
    let cui = read(&cif)?;
    let year: i16 = year
        .parse()
        .map_err(|_not_a_year: std::num::ParseIntError| {
            problems::BAD_VALUE.with_detail("the year is not a number such as 2019")
        })?;
    let found = companies.balance(cui, year).await;
    match found.map_err(|error| error.problem())? {
        Some(balance) => Ok(Json(balance)),
        None => Err(problems::NO_BALANCE.with_detail(format!("no balance of {year} is published"))),
    }
}

async fn search_by_query(
    State(companies): State<Companies>,
    Params(asked): Params<Search>,
) -> Result<Json<Found>, Problem> {
    answer(&companies, asked).await
}

async fn search(
    State(companies): State<Companies>,
    Document(asked): Document<Search>,
) -> Result<Json<Found>, Problem> {
    answer(&companies, asked).await
}

async fn answer(companies: &Companies, asked: Search) -> Result<Json<Found>, Problem> {
    if asked.q.trim().is_empty() {
        return Err(problems::BAD_VALUE.with_detail("`q` is missing: the name to look for"));
    }
    let longest = asked
        .q
        .len()
        .max(asked.judet.as_ref().map_or(0, String::len));
    if longest > MAX_QUERY_BYTES {
        let detail = format!("`q` and `judet` have at most {MAX_QUERY_BYTES} bytes");
        return Err(problems::BAD_VALUE.with_detail(detail));
    }
    let page = asked.page.unwrap_or(1).max(1);
    let query = Query {
        text: asked.q,
        county: asked.judet.filter(|name| !name.trim().is_empty()),
        include_struck_off: asked.include_radiata,
        page,
    };
    let found = companies.search(query).await;
    let found = found.map_err(|error| unreadable(&error))?;
    Ok(Json(Found {
        data: found.hits,
        meta: FoundMeta {
            page,
            per_page: PAGE_SIZE,
            total: found.total,
        },
    }))
}

async fn lookup(
    State(companies): State<Companies>,
    Document(asked): Document<Lookup>,
) -> Result<Json<LookedUp>, Problem> {
    if asked.cifs.len() > MAX_LOOKUP {
        let detail = format!("`cifs` has at most {MAX_LOOKUP} codes");
        return Err(problems::BAD_VALUE.with_detail(detail));
    }
    let mut answer = LookedUp::default();
    let mut codes = Vec::with_capacity(asked.cifs.len());
    for cif in asked.cifs {
        match Cui::parse(&cif) {
            Ok(cui) if codes.contains(&cui) => {}
            Ok(cui) => codes.push(cui),
            Err(reason) => answer.invalid.push(Refused {
                cif,
                code: reason.code().to_owned(),
                message: reason.to_string(),
            }),
        }
    }
    for (cui, outcome) in codes.iter().zip(companies.get_all(&codes).await) {
        match outcome {
            Ok(Some(company)) => answer.data.push(company),
            Ok(None) => answer.unknown.push(cui.to_string()),
            Err(error) => {
                let problem = error.problem();
                answer.failed.push(Refused {
                    cif: cui.to_string(),
                    code: problem.code.to_string(),
                    message: error.to_string(),
                });
            }
        }
    }
    Ok(Json(answer))
}

/// The register's file is damaged, which is for the operator to know in full.
fn unreadable(error: &RegisterError) -> Problem {
    tracing::error!(
        error = taraf_base::with_causes(error),
        "failed to read the trade register"
    );
    problems::REGISTER_UNREADABLE.new()
}

fn read(cif: &str) -> Result<Cui, Problem> {
    Cui::parse(cif).map_err(|reason| {
        problems::INVALID_CIF
            .with_detail(reason.to_string())
            .with("reason", reason.code())
    })
}

fn unknown(cui: Cui) -> Response {
    let body = Unknown {
        cif: cui.to_string(),
        status: "unknown",
        detail: "the code is right, but the company is not in the register (yet); ask again later",
    };
    (
        StatusCode::ACCEPTED,
        [(RETRY_AFTER, RETRY_SECONDS)],
        Json(body),
    )
        .into_response()
}
