//! [pure] What can be wrong with bytes from elsewhere.

/// Why bytes are not what they should be, or cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input ends before the value does. More bytes may help where there may be more.
    #[error("ends at least {missing} bytes too early")]
    Incomplete {
        /// At least so many are missing.
        missing: usize,
    },
    /// A field of a message is wrong.
    #[error("{field} of {message}: {error}")]
    Field {
        /// The message.
        message: &'static str,
        /// Its field, as on the wire.
        field: &'static str,
        /// What is wrong with it.
        error: Box<Self>,
    },
    /// A value of another kind stands where one is expected.
    #[error("{expected} is expected, not msgpack {found:#04x}")]
    Unexpected {
        /// What should be there.
        expected: &'static str,
        /// The first byte of what is there.
        found: u8,
    },
    /// A number does not fit into the field.
    #[error("{number} is out of range, the largest is {max}")]
    Range {
        /// The number that was found, as text, since it may be negative.
        number: i128,
        /// The largest that fits.
        max: u64,
    },
    /// A message type, a version or another code that nobody knows here.
    #[error("{what} {code} is unknown")]
    Unknown {
        /// What the code is of.
        what: &'static str,
        /// The code.
        code: u64,
    },
    /// There are no bytes where some must be.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// Something is larger than we take or send.
    #[error("{what} of {found} is more than {max}")]
    TooLarge {
        /// What is too large, and in which unit.
        what: &'static str,
        /// How large it is, or claims to be.
        found: u64,
        /// The limit.
        max: usize,
    },
    /// An address is neither 4 nor 16 bytes long.
    #[error("an address of {bytes} bytes is neither IPv4 nor IPv6")]
    Address {
        /// How many bytes.
        bytes: usize,
    },
    /// The checksum of a packet is another.
    #[error("the checksum is {found:#010x}, not {expected:#010x}")]
    Checksum {
        /// That of the bytes.
        expected: u32,
        /// That in the packet.
        found: u32,
    },
    /// Compressed bytes cannot be decompressed.
    #[error("the compressed bytes are broken")]
    Compressed,
    /// Layers lie in layers in layers.
    #[error("more than {max} layers")]
    TooDeep {
        /// So many are read.
        max: usize,
    },
    /// It is of another cluster, as its label says.
    #[error("the label is `{found}`, not ours")]
    Label {
        /// The label of the packet or stream; empty when it has none.
        found: String,
    },
    /// It is not encrypted, and has to be.
    #[error("not encrypted, though encryption is configured")]
    NotEncrypted,
    /// It is encrypted, and there is no key here.
    #[error("encrypted, and no encryption is configured")]
    Encrypted,
    /// None of our keys opens it, or it was changed on its way.
    #[error("no installed key decrypts it")]
    NoKey,
    /// What was encrypted does not end as it should.
    #[error("the padding is wrong")]
    Padding,
    /// A version vector has another length than 6, or none.
    #[error("a version vector of {bytes} bytes, not 6")]
    Versions {
        /// How many bytes.
        bytes: usize,
    },
}

impl Error {
    /// Whether the input only ends too early: in a stream the rest may still come.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Incomplete { .. } => true,
            Self::Field { error, .. } => error.is_incomplete(),
            _ => false,
        }
    }

    /// How many bytes are missing at least; 0 when none are.
    pub(crate) fn missing(&self) -> usize {
        match self {
            Self::Incomplete { missing } => *missing,
            Self::Field { error, .. } => error.missing(),
            _ => 0,
        }
    }

    /// What a stream is told about its error: Serf's own words where it has some.
    #[must_use]
    pub fn answer(&self) -> String {
        match self {
            Self::NotEncrypted => {
                "Encryption is configured but remote state is not encrypted".to_owned()
            }
            Self::Encrypted => {
                "Remote state is encrypted and encryption is not configured".to_owned()
            }
            Self::NoKey => "No installed keys could decrypt the message".to_owned(),
            error => error.to_string(),
        }
    }

    /// The same, said of a field of a message.
    pub(crate) fn of(self, message: &'static str, field: &'static str) -> Self {
        Self::Field {
            message,
            field,
            error: Box::new(self),
        }
    }
}
