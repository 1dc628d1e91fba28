//! What differs between operating systems: the shell of handlers, sockets in the file system, names and addresses.

use std::io;
use std::net::IpAddr;

/// The program that runs a handler's script, and the flag in front of the script (Serf 0.9.4).
pub(crate) const SHELL: (&str, &str) = if cfg!(windows) {
    ("cmd", "/C")
} else {
    ("/bin/sh", "-c")
};

pub(crate) use local::{LocalListener, LocalStream};
pub(crate) use process::{Output, Running, kill, start};

/// Who is at the other end of a local socket, as the operating system knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The user.
    pub(crate) user: u32,
    /// The process, where that is known.
    pub(crate) process: Option<i32>,
}

/// The name of this machine.
///
/// # Errors
/// When it has none, or none that is text.
pub fn host_name() -> io::Result<String> {
    #[cfg(unix)]
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "this machine has no name",
        ));
    }
    Ok(name)
}

/// The addresses of a network interface.
///
/// # Errors
/// When there is none of this name; the words are Go's.
pub fn addresses_of(interface: &str) -> io::Result<Vec<IpAddr>> {
    let all = if_addrs::get_if_addrs()?;
    let found: Vec<IpAddr> = all
        .iter()
        .filter(|one| one.name == interface)
        .map(if_addrs::Interface::ip)
        .collect();
    if found.is_empty() {
        let why = "route ip+net: no such network interface";
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    Ok(found)
}

#[cfg(unix)]
mod local {
    use std::fs::Permissions;
    use std::io;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
    use std::path::{Path, PathBuf};

    use tokio::net::UnixListener;
    pub(crate) use tokio::net::UnixStream as LocalStream;

    use super::Caller;

    /// Everybody may knock; who may enter is decided by what the operating system says of the caller.
    const MODE: u32 = 0o666;

    /// A socket in the file system, which is removed with it.
    #[derive(Debug)]
    pub(crate) struct LocalListener {
        listener: UnixListener,
        path: PathBuf,
        owner: u32,
    }

    impl LocalListener {
        /// Binds the path. A socket on which nobody listens any more makes place; any other file is kept.
        pub(crate) fn bind(path: &Path) -> io::Result<Self> {
            let is_left_behind = std::fs::symlink_metadata(path)
                .is_ok_and(|found| found.file_type().is_socket())
                && std::os::unix::net::UnixStream::connect(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if is_left_behind {
                std::fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
            let owner = std::fs::symlink_metadata(path)?.uid();
            Ok(Self {
                listener,
                path: path.to_owned(),
                owner,
            })
        }

        /// The user who owns the socket: the one of this process.
        pub(crate) const fn owner(&self) -> u32 {
            self.owner
        }

        pub(crate) fn path(&self) -> &Path {
            &self.path
        }

        pub(crate) async fn accept(&self) -> io::Result<(LocalStream, Caller)> {
            let (stream, _) = self.listener.accept().await?;
            let credentials = stream.peer_cred()?;
            let caller = Caller {
                user: credentials.uid(),
                process: credentials.pid(),
            };
            Ok((stream, caller))
        }
    }

    impl Drop for LocalListener {
        fn drop(&mut self) {
            // Somebody may have removed it already; a new one makes place for itself.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

#[cfg(not(unix))]
mod local {
    use std::io;
    use std::path::Path;

    use super::Caller;

    pub(crate) type LocalStream = tokio::io::DuplexStream;

    /// There is none on this operating system.
    #[derive(Debug)]
    pub(crate) enum LocalListener {}

    impl LocalListener {
        pub(crate) fn bind(_path: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) const fn owner(&self) -> u32 {
            match *self {}
        }

        pub(crate) fn path(&self) -> &Path {
            match *self {}
        }

        pub(crate) async fn accept(&self) -> io::Result<(LocalStream, Caller)> {
            match *self {}
        }
    }
}

#[cfg(unix)]
mod process {
    use std::io;
    use std::process::Stdio;

    use rustix::process::{Pid, Signal, kill_process_group};
    pub(crate) use tokio::net::unix::pipe::Receiver as Output;
    use tokio::net::unix::pipe::pipe;
    use tokio::process::{Child, Command};

    /// A program that was started, and all that it prints.
    pub(crate) struct Running {
        pub(crate) child: Child,
        pub(crate) output: Output,
    }

    /// Starts a program in a group of its own, with one pipe for all that it prints, so that what it prints on
    /// either way stays in order.
    pub(crate) fn start(command: &mut Command) -> io::Result<Running> {
        let (sender, output) = pipe()?;
        let ours = sender.into_blocking_fd()?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::from(ours.try_clone()?))
            .stderr(Stdio::from(ours))
            .process_group(0)
            .spawn();
        // The command keeps our ends of the pipe, which must close for the output to end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Running {
            child: child?,
            output,
        })
    }

    /// Kills a program and all that it started.
    pub(crate) async fn kill(child: &mut Child) {
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = group {
            let _it_may_be_gone_already = kill_process_group(group, Signal::KILL);
        }
        drop(child.kill().await);
    }
}

#[cfg(not(unix))]
mod process {
    use std::io;
    use std::process::Stdio;

    use tokio::io::{DuplexStream, duplex};
    use tokio::process::{Child, Command};

    pub(crate) type Output = DuplexStream;

    const OUTPUT_BYTES: usize = 4 << 10;

    pub(crate) struct Running {
        pub(crate) child: Child,
        pub(crate) output: Output,
    }

    /// Starts a program; what it prints is read from its standard output alone.
    pub(crate) fn start(command: &mut Command) -> io::Result<Running> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (mut sender, output) = duplex(OUTPUT_BYTES);
        if let Some(mut stdout) = child.stdout.take() {
            taraf_base::Tasks::new().spawn("output of a handler", async move {
                // Whoever reads is gone, or the program is.
                drop(tokio::io::copy(&mut stdout, &mut sender).await);
            });
        }
        Ok(Running { child, output })
    }

    pub(crate) async fn kill(child: &mut Child) {
        // It may be gone already.
        drop(child.kill().await);
    }
}
