//! What a service is: described, served, found, called.

pub mod balance;
pub mod body;
pub mod breaker;
pub mod client;
pub mod cores;
mod descriptor;
mod directory;
pub mod dns;
mod error;
pub mod executor;
pub mod listen;
pub mod metrics;
pub mod openapi;
pub mod outlier;
mod pool;
pub mod problem;
pub mod retry;
pub mod serve;
pub mod stream;
pub mod timer;
pub mod trace;
pub mod wire;

pub use body::{Body, BoxError};
pub use client::{CallPolicy, Client, Target};
pub use descriptor::{
    DOMAIN_SUFFIX, Descriptor, Health, InvalidServiceName, NAME_BYTES_MAX, Service, ServiceName,
};
pub use directory::{Directory, Endpoint, Transport};
pub use error::CallError;
pub use pool::{EndpointState, EndpointView, PoolView};
pub use problem::Problem;
