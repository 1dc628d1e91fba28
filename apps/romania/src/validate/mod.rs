//! Validation of identifiers, and the legal holidays: pure answers, no source.

mod api;

use taraf_base::Timestamp;
use taraf_service::Service;

use crate::document;
use crate::error::Error;

/// Starts the service.
pub(crate) fn start(clock: fn() -> Timestamp) -> Result<Service, Error> {
    Ok(Service::new(document::validate()?, api::router(clock)))
}
