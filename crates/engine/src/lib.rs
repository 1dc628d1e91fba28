//! Taraf: engine.
