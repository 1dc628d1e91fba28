//! Why a call has no answer.

use std::io;
use std::time::Duration;

use crate::BoxError;
use crate::body;
use crate::problem::{self, Problem};

/// Why a call has no answer. An answer with a status of 400 or more is an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody offers such a service.
    #[error("no service is called `{0}`")]
    NoSuchService(String),
    /// The service is known but has no endpoint now.
    #[error("the service `{0}` has no endpoint")]
    NoEndpoint(String),
    /// Every endpoint failed so often lately that it is left alone for a while.
    #[error("every endpoint of `{0}` is failing and left alone for a while")]
    BreakerOpen(String),
    /// Every endpoint has as many calls under way as it may have.
    #[error("every endpoint of `{0}` has as many calls under way as it may")]
    Overloaded(String),
    /// The host's name has no address.
    #[error("failed to resolve `{host}`")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// No connection could be made.
    #[error("failed to connect to {to}")]
    Connect {
        /// Whom.
        to: String,
        /// What the operating system or TLS said.
        #[source]
        source: io::Error,
    },
    /// The time allowed has passed.
    #[error("no {what} within {limit:?}")]
    Timeout {
        /// What did not come: a connection, an answer, more of the body.
        what: &'static str,
        /// The time allowed.
        limit: Duration,
    },
    /// The connection ended before the answer did.
    #[error("the connection closed before the answer ended")]
    Closed(#[source] BoxError),
    /// The answer is longer than the caller takes.
    #[error("the answer is longer than {max} bytes")]
    TooLarge {
        /// What the caller takes.
        max: u64,
    },
    /// The egress policy forbids the host.
    #[error("calls to `{0}` are not allowed")]
    Denied(String),
    /// The request cannot be sent as it is.
    #[error("the request cannot be sent: {0}")]
    Invalid(String),
    /// The client is stopping.
    #[error("the client is stopping")]
    Stopping,
}

impl CallError {
    /// The HTTP status that tells a caller behind us what happened.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::NoSuchService(_)
            | Self::NoEndpoint(_)
            | Self::BreakerOpen(_)
            | Self::Overloaded(_)
            | Self::Stopping => 503,
            Self::Timeout { .. } => 504,
            Self::Denied(_) => 403,
            Self::Invalid(_) => 400,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Closed(_)
            | Self::TooLarge { .. } => 502,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NoSuchService(_)
            | Self::NoEndpoint(_)
            | Self::BreakerOpen(_)
            | Self::Overloaded(_)
            | Self::Stopping
            | Self::Timeout { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Closed(_) => true,
            Self::TooLarge { .. } | Self::Denied(_) | Self::Invalid(_) => false,
        }
    }

    /// Whether the other side certainly saw nothing of the request, so that sending it again
    /// repeats no effect.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        match self {
            Self::NoSuchService(_)
            | Self::NoEndpoint(_)
            | Self::BreakerOpen(_)
            | Self::Overloaded(_)
            | Self::Stopping
            | Self::Denied(_)
            | Self::Invalid(_)
            | Self::Resolve { .. }
            | Self::Connect { .. } => true,
            Self::Timeout { .. } | Self::Closed(_) | Self::TooLarge { .. } => false,
        }
    }

    /// The problem document that tells a caller behind us what happened.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::NoSuchService(_) | Self::NoEndpoint(_) => {
                problem::SERVICE_UNAVAILABLE.with_detail(self.to_string())
            }
            Self::BreakerOpen(_) => problem::BREAKER_OPEN.with_detail(self.to_string()),
            Self::Overloaded(_) | Self::Stopping => {
                problem::OVERLOADED.with_detail(self.to_string())
            }
            Self::Timeout { .. } => problem::UPSTREAM_TIMEOUT.with_detail(self.to_string()),
            Self::Denied(_) => problem::EGRESS_DENIED.with_detail(self.to_string()),
            Self::Invalid(_) => problem::BAD_REQUEST.with_detail(self.to_string()),
            Self::Resolve { .. } | Self::Connect { .. } => {
                problem::UPSTREAM_UNREACHABLE.with_detail(self.to_string())
            }
            Self::Closed(_) | Self::TooLarge { .. } => {
                problem::UPSTREAM_BROKEN.with_detail(self.to_string())
            }
        }
    }
}

impl From<body::Error> for CallError {
    fn from(error: body::Error) -> Self {
        match error {
            body::Error::TooLarge { max } => Self::TooLarge {
                max: u64::try_from(max).unwrap_or(u64::MAX),
            },
            body::Error::Broken(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(error) => Self::Closed(error),
            },
        }
    }
}
