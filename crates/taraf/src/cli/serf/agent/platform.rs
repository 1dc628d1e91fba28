//! What differs between operating systems for an agent: its signals, by the names that Go has for them, and the way to
//! the log of the system.

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

pub(super) use caught::{LogSocket, Signals};

#[cfg(unix)]
mod caught {
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    use tokio::signal::unix::{self, SignalKind, signal};

    use super::{Signal, io};

    /// A way to the log of the system.
    #[derive(Debug)]
    pub(in super::super) struct LogSocket(UnixDatagram);

    impl LogSocket {
        pub(in super::super) fn connect(path: &Path) -> io::Result<Self> {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            // An agent does not wait for a log.
            socket.set_nonblocking(true)?;
            Ok(Self(socket))
        }

        pub(in super::super) fn send(&self, line: &[u8]) {
            // There is nowhere else to say that it failed.
            drop(self.0.send(line));
        }
    }

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
    use std::path::Path;

    use super::{Signal, io};

    /// There is none here.
    #[derive(Debug)]
    pub(in super::super) enum LogSocket {}

    impl LogSocket {
        pub(in super::super) fn connect(_path: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in super::super) fn send(&self, _line: &[u8]) {
            match *self {}
        }
    }

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
