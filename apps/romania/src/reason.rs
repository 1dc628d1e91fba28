//! [pure] What every refusal of a value can say: a stable code for programs, a sentence for people.

/// Why a value is not what it claims to be.
///
/// `Display` is a sentence fragment. Neither it nor `Debug` may contain the value itself: a value that
/// looks like a personal number is personal data.
pub trait Reason: std::error::Error {
    /// Stable, lower case with underscores: programs compare it.
    fn code(&self) -> &'static str;
}
