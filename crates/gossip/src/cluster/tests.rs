//! A member as a whole.
