//! Romania: companies, exchange rates and validation, in the shape of OpenAPI.ro.

pub mod bic;
pub mod cnp;
mod companies;
mod config;
mod county;
pub mod cui;
mod document;
mod durable;
mod error;
mod extract;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod holidays;
pub mod iban;
mod metrics;
pub mod money;
pub mod onrc;
pub mod problems;
mod rates;
mod reason;
pub mod recorded;
pub mod register;
mod services;
mod source;
pub mod text;
mod validate;

pub use config::{Config, Register};
pub use error::Error;
pub use reason::Reason;
pub use services::{NAMES, descriptor, service, services};
pub use source::{RECORDED_HEADER, SAMPLE_HEADER};
