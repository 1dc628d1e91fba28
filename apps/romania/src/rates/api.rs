//! The HTTP face of the rates service.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use taraf_service::Problem;

use super::archive::Rule;
use super::feed::Currency;
use super::store::{Found, RatesError, Store};
use crate::extract::{Document, Params};
use crate::money::{self, MoneyError};
use crate::problems;

/// The router over a store.
pub(super) fn router(store: Store) -> Router {
    Router::new()
        .route("/exchange", get(all))
        .route("/exchange/", get(all))
        .route("/exchange/all", get(all))
        .route("/exchange/convert", post(convert))
        .route("/exchange/{currency}", get(one))
        .with_state(store)
}

#[derive(Deserialize)]
struct Asked {
    date: Option<String>,
    #[serde(default)]
    rule: Rule,
}

/// What a reader must know about the data beside the data.
#[derive(Default, Serialize)]
struct Meta {
    #[serde(skip_serializing_if = "is_false")]
    recorded: bool,
    #[serde(skip_serializing_if = "is_false")]
    sample: bool,
    #[serde(skip_serializing_if = "is_false")]
    stale: bool,
}

#[derive(Serialize)]
struct One {
    rate: String,
    date: String,
    query_date: String,
    meta: Meta,
}

#[derive(Serialize)]
struct All {
    date: String,
    query_date: String,
    rates: Map<String, Value>,
    meta: Meta,
}

#[derive(Deserialize)]
struct Conversion {
    /// Kept as written: a number of JSON must not become a binary float.
    amount: Box<RawValue>,
    from: String,
    to: String,
    date: Option<String>,
    #[serde(default)]
    rule: Rule,
}

#[derive(Serialize)]
struct Converted {
    amount: String,
    from: String,
    to: String,
    result: String,
    /// RON for one unit of the other currency, when one of the two is RON.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    /// RON for one unit of each.
    rates: Map<String, Value>,
    date: String,
    query_date: String,
    meta: Meta,
}

async fn one(
    State(store): State<Store>,
    Path(currency): Path<String>,
    Params(asked): Params<Asked>,
) -> Result<Json<One>, Problem> {
    let currency = listed(&currency)?;
    let found = find(&store, asked.date.as_deref(), asked.rule).await?;
    Ok(Json(One {
        rate: rate(&found, currency)?.to_string(),
        date: found.fixing.cube.date.to_string(),
        query_date: found.asked.to_string(),
        meta: Meta::of(&found, &[currency]),
    }))
}

async fn all(
    State(store): State<Store>,
    Params(asked): Params<Asked>,
) -> Result<Json<All>, Problem> {
    let found = find(&store, asked.date.as_deref(), asked.rule).await?;
    let cube = &found.fixing.cube;
    let currencies: Vec<Currency> = cube.rates.iter().map(|(currency, _)| *currency).collect();
    Ok(Json(All {
        date: cube.date.to_string(),
        query_date: found.asked.to_string(),
        rates: cube
            .rates
            .iter()
            .map(|(currency, rate)| (currency.to_string(), rate.to_string().into()))
            .collect(),
        meta: Meta::of(&found, &currencies),
    }))
}

async fn convert(
    State(store): State<Store>,
    Document(asked): Document<Conversion>,
) -> Result<Json<Converted>, Problem> {
    let amount = amount(&asked.amount)?;
    let (from, to) = (currency(&asked.from)?, currency(&asked.to)?);
    let found = find(&store, asked.date.as_deref(), asked.rule).await?;
    let (from_rate, to_rate) = (rate(&found, from)?, rate(&found, to)?);
    let result =
        money::convert(amount, from_rate, to_rate).map_err(|error| bad("amount", error))?;
    let against_ron = match (from, to) {
        (Currency::RON, _) => Some(to_rate),
        (_, Currency::RON) => Some(from_rate),
        _ => None,
    };
    let used = [(from, from_rate), (to, to_rate)];
    Ok(Json(Converted {
        amount: amount.to_string(),
        from: from.to_string(),
        to: to.to_string(),
        result: result.to_string(),
        rate: against_ron.map(|rate| rate.to_string()),
        rates: used
            .iter()
            .filter(|(currency, _)| *currency != Currency::RON)
            .map(|(currency, rate)| (currency.to_string(), rate.to_string().into()))
            .collect(),
        date: found.fixing.cube.date.to_string(),
        query_date: found.asked.to_string(),
        meta: Meta::of(&found, &[from, to]),
    }))
}

impl Meta {
    fn of(found: &Found, currencies: &[Currency]) -> Self {
        Self {
            recorded: found.fixing.provenance.is_recorded,
            sample: currencies
                .iter()
                .any(|currency| found.fixing.is_sample(*currency)),
            stale: found.is_stale,
        }
    }
}

async fn find(store: &Store, day: Option<&str>, rule: Rule) -> Result<Found, Problem> {
    let day = match day {
        None | Some("") => None,
        Some(text) => Some(read_day(text)?),
    };
    store.find(day, rule).await.map_err(problem)
}

/// ISO form alone: `jiff` would read more.
fn read_day(text: &str) -> Result<Date, Problem> {
    let is_iso = text.len() == "2019-12-31".len();
    text.parse::<Date>()
        .ok()
        .filter(|_| is_iso)
        .ok_or_else(|| problems::BAD_VALUE.with_detail("`date` is not a day such as 2019-12-31"))
}

fn problem(error: RatesError) -> Problem {
    match error {
        RatesError::Source(source) => source.problem(),
        RatesError::Future(_) => problems::BAD_VALUE.with_detail(format!("`date`: {error}")),
        RatesError::None(_) => problems::NO_FIXING.with_detail(error.to_string()),
    }
}

fn currency(text: &str) -> Result<Currency, Problem> {
    Currency::parse(text).ok_or_else(|| {
        problems::NO_CURRENCY.with_detail("a currency is three letters, such as EUR")
    })
}

/// A currency that a fixing can list: all but RON.
fn listed(text: &str) -> Result<Currency, Problem> {
    let currency = currency(text)?;
    if currency == Currency::RON {
        let detail = "all rates are in RON, which therefore has none itself";
        return Err(problems::NO_CURRENCY.with_detail(detail));
    }
    Ok(currency)
}

fn rate(found: &Found, currency: Currency) -> Result<Decimal, Problem> {
    let cube = &found.fixing.cube;
    cube.rate(currency).ok_or_else(|| {
        let day = cube.date;
        problems::NO_CURRENCY.with_detail(format!("the fixing of {day} has no {currency}"))
    })
}

/// A string of digits or a number of JSON, read digit by digit.
fn amount(raw: &RawValue) -> Result<Decimal, Problem> {
    let text = raw.get();
    let quoted: Option<String> = text
        .starts_with('"')
        .then(|| serde_json::from_str(text).ok())
        .flatten();
    money::parse(quoted.as_deref().unwrap_or(text)).map_err(|error| bad("amount", error))
}

fn bad(what: &str, error: MoneyError) -> Problem {
    problems::BAD_VALUE.with_detail(format!("`{what}`: {error}"))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}
