//! Finished runs on disk: packs hold their journals, an index finds them, retention drops them.

mod entry;
mod index;
mod inspect;
mod month;
mod pack;
mod place;
mod retention;
mod rows;
mod store;

pub(crate) use entry::Archived;
pub(crate) use inspect::inspect;
pub use place::Config;
pub(crate) use place::{Archive, Error};
pub(crate) use retention::Retention;

#[cfg(test)]
mod tests;
