//! Where the parts meet: small functions from one part's words to another's.

pub(crate) mod catalog;
pub(crate) mod discovery;
pub(crate) mod documents;
pub(crate) mod flows;
pub(crate) mod names;
pub(crate) mod outside;
pub(crate) mod problems;
