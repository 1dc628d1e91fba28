//! [pure] The twelve kinds of task, a file each.

mod call;
mod emit;
mod flow;
mod listen;
mod run;
mod try_catch;

pub use call::{
    A2aCall, AsyncApiCall, Call, FunctionCall, GrpcCall, HttpCall, HttpOutput, McpCall,
    OpenApiCall, Redirect,
};
pub use emit::Emit;
pub use flow::{Case, For, Fork, Kind, RaisedError};
pub use listen::{Correlation, EventFilter, Foreach, Listen, Read, Strategy, Until};
pub use run::{Process, Return, Run};
pub use try_catch::{Catch, Try};
