//! Who calls: the ways in which a request can prove it.

pub mod api_key;
