//! A running member: the machine of a cluster on real sockets, and the handle that others ask.

mod address;
mod convert;
mod driver;
mod files;
mod handle;
mod joining;
mod serving;
mod settings;
mod shared;

pub use address::{Advertised, NoAddress, advertised};
pub use driver::start;
pub use handle::Handle;
pub use settings::{Error, Settings};
