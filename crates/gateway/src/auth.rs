//! Who calls: the ways in which a request can prove it.

pub mod api_key;
mod authenticators;
mod config;
mod jwks;
mod jwt;

pub use authenticators::Authenticators;
pub(crate) use authenticators::Shown;
pub use config::{Certificate, Config, Identity, Issuer};
