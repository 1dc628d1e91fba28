//! The HTTP face of the validate service. A value that is not valid is an answer, not an error.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_service::Problem;

use crate::bic::Bic;
use crate::cnp::{Cnp, Details};
use crate::cui::Cui;
use crate::extract::Document;
use crate::holidays;
use crate::iban::Iban;
use crate::onrc::{Form, Kind, RegisterNumber};
use crate::problems;
use crate::reason::Reason;

type Clock = fn() -> Timestamp;

/// The router.
pub(super) fn router(clock: Clock) -> Router {
    Router::new()
        .route("/validate/cif/{value}", get(cif))
        .route("/validate/cnp/{value}", get(cnp))
        .route("/validate/cnp", post(cnp_in_body))
        .route("/validate/iban/{value}", get(iban))
        .route("/validate/bic/{value}", get(bic))
        .route("/validate/onrc/{*value}", get(onrc))
        .route("/holidays/{year}", get(holidays_of))
        .with_state(clock)
}

/// Why a value is not valid.
#[derive(Serialize)]
struct Why {
    code: &'static str,
    message: String,
}

impl<R: Reason> From<R> for Why {
    fn from(reason: R) -> Self {
        Self {
            code: reason.code(),
            message: reason.to_string(),
        }
    }
}

#[derive(Serialize)]
struct CifAnswer {
    valid: bool,
    cif: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalized: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
}

#[derive(Serialize)]
struct CnpAnswer {
    valid: bool,
    cnp: String,
    parsed: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
}

/// Not `Debug`: it holds personal data.
#[derive(Deserialize)]
struct CnpInBody {
    cnp: String,
}

#[derive(Serialize)]
struct IbanAnswer {
    valid: bool,
    iban: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank: Option<BankAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
}

#[derive(Serialize)]
struct BankAnswer {
    code: String,
    /// Unknown when `None`: the table is not complete.
    name: Option<&'static str>,
}

#[derive(Serialize)]
struct BicAnswer {
    valid: bool,
    bic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
}

#[derive(Serialize)]
struct OnrcAnswer {
    valid: bool,
    onrc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parsed: Option<OnrcDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
}

#[derive(Serialize)]
struct OnrcDetails {
    form: &'static str,
    kind: &'static str,
    year: i16,
    county: Option<&'static str>,
}

#[derive(Serialize)]
struct HolidaysAnswer {
    year: i16,
    data: Vec<HolidayAnswer>,
}

#[derive(Serialize)]
struct HolidayAnswer {
    date: String,
    name: String,
}

async fn cif(Path(value): Path<String>) -> Json<CifAnswer> {
    let parsed = Cui::parse(&value);
    Json(match parsed {
        Ok(cui) => CifAnswer {
            valid: true,
            cif: value,
            normalized: Some(cui.to_string()),
            reason: None,
        },
        Err(reason) => CifAnswer {
            valid: false,
            cif: value,
            normalized: None,
            reason: Some(reason.into()),
        },
    })
}

async fn cnp(State(clock): State<Clock>, Path(value): Path<String>) -> Json<CnpAnswer> {
    Json(about_cnp(value, today(clock)))
}

async fn cnp_in_body(
    State(clock): State<Clock>,
    Document(body): Document<CnpInBody>,
) -> Json<CnpAnswer> {
    Json(about_cnp(body.cnp, today(clock)))
}

fn about_cnp(value: String, today: Date) -> CnpAnswer {
    match Cnp::parse(&value, today) {
        Ok(cnp) => CnpAnswer {
            valid: true,
            cnp: cnp.reveal(),
            parsed: Some(cnp.details()),
            reason: None,
        },
        Err(reason) => CnpAnswer {
            valid: false,
            cnp: value,
            parsed: None,
            reason: Some(reason.into()),
        },
    }
}

async fn iban(Path(value): Path<String>) -> Json<IbanAnswer> {
    Json(match Iban::parse(&value) {
        Ok(iban) => IbanAnswer {
            valid: true,
            country: Some(iban.country().to_owned()),
            bank: iban.bank_code().map(|code| BankAnswer {
                code: code.to_owned(),
                name: iban.bank_name(),
            }),
            iban: iban.to_string(),
            reason: None,
        },
        Err(reason) => IbanAnswer {
            valid: false,
            iban: value,
            country: None,
            bank: None,
            reason: Some(reason.into()),
        },
    })
}

async fn bic(Path(value): Path<String>) -> Json<BicAnswer> {
    Json(match Bic::parse(&value) {
        Ok(bic) => BicAnswer {
            valid: true,
            country: Some(bic.country().to_owned()),
            bic: bic.to_string(),
            reason: None,
        },
        Err(reason) => BicAnswer {
            valid: false,
            bic: value,
            country: None,
            reason: Some(reason.into()),
        },
    })
}

async fn onrc(State(clock): State<Clock>, Path(value): Path<String>) -> Json<OnrcAnswer> {
    Json(match RegisterNumber::parse(&value, today(clock)) {
        Ok(number) => OnrcAnswer {
            valid: true,
            parsed: Some(details(&number)),
            onrc: number.to_string(),
            reason: None,
        },
        Err(reason) => OnrcAnswer {
            valid: false,
            onrc: value,
            parsed: None,
            reason: Some(reason.into()),
        },
    })
}

fn details(number: &RegisterNumber) -> OnrcDetails {
    OnrcDetails {
        form: match number.form() {
            Form::Old => "old",
            Form::New => "new",
        },
        kind: match number.kind() {
            Kind::Company => "company",
            Kind::Person => "person",
            Kind::Cooperative => "cooperative",
        },
        year: number.year(),
        county: number.county(),
    }
}

async fn holidays_of(Path(year): Path<String>) -> Result<Json<HolidaysAnswer>, Problem> {
    let year: i16 = year
        .parse()
        .map_err(|_not_a_year: std::num::ParseIntError| {
            problems::BAD_VALUE.with_detail("the year is not a number such as 2026")
        })?;
    let days = holidays::of_year(year).ok_or(problems::NO_HOLIDAYS)?;
    Ok(Json(HolidaysAnswer {
        year,
        data: days
            .iter()
            .map(|holiday| HolidayAnswer {
                date: holiday.date.to_string(),
                name: holiday.names.join("; "),
            })
            .collect(),
    }))
}

fn today(clock: Clock) -> Date {
    let now = jiff::Timestamp::from_millisecond(clock().as_millis());
    crate::rates::today(now.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}
