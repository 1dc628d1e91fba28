//! Taraf: flow.
