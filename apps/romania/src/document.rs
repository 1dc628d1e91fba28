//! [pure] What each service says of itself: its OpenAPI document; and addresses in settings.

use serde_json::Value;
use taraf_service::Descriptor;
use url::Url;

use crate::error::Error;

const COMPANIES: &str = include_str!("companies/openapi.json");
const RATES: &str = include_str!("rates/openapi.json");
const VALIDATE: &str = include_str!("validate/openapi.json");

pub(crate) fn companies() -> Result<Descriptor, Error> {
    descriptor("companies", COMPANIES)
}

pub(crate) fn rates() -> Result<Descriptor, Error> {
    descriptor("rates", RATES)
}

pub(crate) fn validate() -> Result<Descriptor, Error> {
    descriptor("validate", VALIDATE)
}

fn descriptor(name: &'static str, document: &str) -> Result<Descriptor, Error> {
    let openapi: Value =
        serde_json::from_str(document).map_err(|error| Error::Document(name, error.into()))?;
    Descriptor::from_openapi(name, openapi).map_err(|error| Error::Document(name, error.into()))
}

/// An address of a source, checked when the service starts and not at its first question.
pub(crate) fn base_url<'a>(setting: &'static str, value: &'a str) -> Result<&'a str, Error> {
    let is_usable = Url::parse(value).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.query().is_none()
    });
    if is_usable {
        Ok(value)
    } else {
        Err(Error::BadUrl {
            setting,
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_readable_and_names_its_service() {
        for (name, descriptor) in [
            ("companies", companies().unwrap()),
            ("rates", rates().unwrap()),
            ("validate", validate().unwrap()),
        ] {
            assert_eq!(descriptor.name.as_str(), name);
            assert_eq!(descriptor.openapi["openapi"], "3.1.0");
        }
    }

    #[test]
    fn only_web_addresses_are_sources() {
        assert!(base_url("x", "https://curs.bnr.ro").is_ok());
        assert!(base_url("x", "http://127.0.0.1:9000").is_ok());
        for value in ["", "curs.bnr.ro", "ftp://bnr.ro", "https://a/?b=c"] {
            assert!(base_url("x", value).is_err(), "{value}");
        }
    }
}
