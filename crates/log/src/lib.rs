//! Taraf: log.
