//! Performs what the partitions ask for: calls.

pub(crate) mod http;
