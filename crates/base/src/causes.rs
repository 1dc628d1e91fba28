//! An error and what caused it.

use std::error::Error;

/// An error and each of its causes, outermost first, on one line.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::num::ParseIntError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("read the port")]
    struct Outer(#[source] ParseIntError);

    #[test]
    fn causes_follow_what_they_caused() {
        let cause = "x".parse::<u16>().unwrap_err();
        let expected = format!("read the port: {cause}");
        assert_eq!(with_causes(&Outer(cause)), expected);
    }
}
