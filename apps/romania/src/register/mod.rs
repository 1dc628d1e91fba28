//! The trade register: its open data imported into one file, and that file searched.

mod bitmap;
mod build;
mod file;
mod firm;
mod format;
mod import;
mod journal;
mod lines;
mod live;
mod postings;
mod rows;
mod search;
mod sort;
mod steps;
mod tally;

pub use file::RegisterError;
pub use import::{Import, ImportError, Imported, import};
pub use rows::HeaderError;
pub use steps::{Progress, Step};
pub use tally::{Fault, Tally};

pub(crate) use file::Register;
pub(crate) use firm::Firm;
pub(crate) use live::Live;
pub(crate) use search::{Filter, Found};

#[cfg(test)]
mod tests;

#[cfg(fuzzing)]
pub(crate) mod fuzz;
