//! The signals that an agent hears, by the names that Go has for them.

use std::io;

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Interrupt,
    Terminate,
    Hangup,
}

impl Signal {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Terminate => "terminated",
            Self::Hangup => "hangup",
        }
    }
}

pub(super) use caught::Signals;

#[cfg(unix)]
mod caught {
    use tokio::signal::unix::{self, SignalKind, signal};

    use super::{Signal, io};

    /// The signals, caught from the moment this is made.
    pub(in super::super) struct Signals {
        interrupt: unix::Signal,
        terminate: unix::Signal,
        hangup: unix::Signal,
    }

    impl Signals {
        pub(in super::super) fn catch() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
            })
        }

        /// The next one.
        pub(in super::super) async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.interrupt.recv() => Signal::Interrupt,
                _ = self.terminate.recv() => Signal::Terminate,
                _ = self.hangup.recv() => Signal::Hangup,
            }
        }
    }
}

#[cfg(not(unix))]
mod caught {
    use super::{Signal, io};

    /// Only an interrupt can be caught here.
    pub(in super::super) struct Signals(());

    impl Signals {
        pub(in super::super) fn catch() -> io::Result<Self> {
            Ok(Self(()))
        }

        pub(in super::super) async fn next(&mut self) -> Signal {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            Signal::Interrupt
        }
    }
}
