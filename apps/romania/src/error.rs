//! Why a Romanian service cannot start.

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such service in this application.
    #[error("no service `{0}`; there are companies, rates and validate")]
    NoSuchService(String),
    /// A setting that is no address.
    #[error("bad setting `{setting}`: `{value}` is not an http or https address")]
    BadUrl {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// A code in `warm` that is no fiscal code.
    #[error("bad setting `warm`: `{code}` is no fiscal code")]
    BadWarmCode {
        /// As written.
        code: String,
        /// Why not.
        #[source]
        source: crate::cui::InvalidCui,
    },
    /// The trade register that was imported cannot be used.
    #[error("failed to open the trade register that was imported")]
    Register(#[source] crate::register::RegisterError),
    /// A document of ours is broken: a defect of this build.
    #[error("the built-in OpenAPI document of `{0}` is broken")]
    Document(
        &'static str,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
}
