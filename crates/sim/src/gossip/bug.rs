//! [pure] Bugs that are planted on purpose around the members, to see that they are found.

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// No stream ever connects: states are never exchanged.
    NoStreams,
    /// Members that failed are not tried again.
    NoReconnect,
    /// Whoever restarts goes on with what it heard before, and asks for it again.
    Replay,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NoStreams, Self::NoReconnect, Self::Replay];

    /// As it is written on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoStreams => "no-streams",
            Self::NoReconnect => "no-reconnect",
            Self::Replay => "replay",
        }
    }
}
