//! [pure] The flow language: definitions are read, checked and their expressions evaluated; nothing runs.

pub mod auth;
mod check;
mod data;
mod document;
pub mod duration;
mod error;
pub mod event;
mod expression;
mod finding;
pub mod lifecycle;
mod resource;
pub mod retry;
mod schema;
pub mod tasks;
mod template;
mod uri;
pub mod yaml;

pub use auth::Authentication;
pub use check::{check, check_with};
pub use data::{Data, DataError, DataName, Keeper};
pub use document::{
    Definition, Directive, Document, Extension, Input, Output, Schedule, Task, TaskList, Use,
};
pub use duration::{Span, TimeSpan};
pub use error::{ErrorFilter, ErrorKind, FlowError};
pub use expression::{Expression, ExpressionError, Scope};
pub use finding::{CODES, Finding, Report, Severity};
pub use resource::{Contents, Resource, is_local};
pub use schema::{Schema, SchemaError};
pub use tasks::Kind;
pub use template::{Mode, Template};
pub use uri::{Endpoint, Uri, UriTemplate};
