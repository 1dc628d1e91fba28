//! One test suite that every backend must pass.
