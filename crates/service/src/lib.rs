//! Taraf: service.
