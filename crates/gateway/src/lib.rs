//! Taraf: gateway.
