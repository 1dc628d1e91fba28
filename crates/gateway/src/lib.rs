//! The edge: one front door that knows routes, keys and quotas, and passes calls to services and flows.

mod accounts;
mod answer;
pub mod auth;
mod bodies;
mod cache;
mod config;
mod connection;
mod direct;
mod error;
mod features;
mod flows;
mod forward;
mod health;
mod metrics;
pub mod openapi;
mod path;
mod pipeline;
mod portal;
pub mod quota;
pub mod registry;
mod routes;
mod server;
mod tls;
mod tunnel;
mod usage;

pub use accounts::{
    AccountUsage, Accounts, Config as AccountsConfig, CreatedKey, Denied, Error as AccountsError,
    KeyUsage, KeyView, MonthUsage, PARTITION,
};
pub use cache::{Config as CacheConfig, Settings as Cache};
pub use config::{
    Certificate, ClientCertificates, Config, Http2, Limits, Tls as TlsConfig, TlsVersion,
};
pub use error::Error;
pub use features::{
    Canary, Cors, HeaderChanges, Mirror, QueryChanges, RequestTransform, ResponseTransform,
    RouteLimits, Settings, Sticky, Transform, Validate, When,
};
pub use flows::{FlowAnswer, FlowCall, FlowFuture, Flows};
pub use path::{PathError, Pattern, PatternError, Segment, Segments};
pub use routes::{
    AccountView, Auth, Authenticator, Builtin, Entry, Match, NoMatch, Route, RouteError, Routes,
    Target,
};
pub use server::{Gateway, Handle, Parts};
pub use tls::{Error as TlsError, PeerCertificate};
pub use usage::{OverPlan, Standing};
