//! Exchanges of state.
