//! Exchange rates of the National Bank: fetched, kept, found by day, converted exactly.

mod api;
mod archive;
mod driver;
mod feed;
mod schedule;
mod store;

pub(crate) use driver::start;
pub(crate) use schedule::today;
