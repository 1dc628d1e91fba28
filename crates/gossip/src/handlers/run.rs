//! Runs one script for one event, within a time.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, Command};
use tokio::time::{Instant, sleep_until, timeout};

use super::environment::{environment, input};
use super::ring::{OUTPUT_BYTES_MAX, Ring};
use crate::platform::{self, Output};
use crate::rpc::event::{Event, Member};

/// After so long a script is called slow (Serf 0.9.4).
const SLOW: Duration = Duration::from_secs(1);

/// How long what a script left behind may go on printing when the script itself has ended.
const REMAINS: Duration = Duration::from_millis(200);

/// A script is not to be run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Start(#[source] io::Error),
    #[error("failed to wait for it: {0}")]
    Wait(#[source] io::Error),
    #[error("{}", ended(*.0))]
    Status(ExitStatus),
    #[error("it took longer than {} and was killed", crate::config::duration::format(*.0))]
    Late(Duration),
}

/// Runs the script. The answer is the end of what it printed; none when it printed nothing.
///
/// With a limit, a script that takes longer is killed with all that it started, and one that ended does not
/// wait for what it left behind. Without, both is as in Serf.
pub(super) async fn run(
    script: &str,
    own: &Member,
    event: &Event,
    limit: Option<Duration>,
) -> Result<Option<Vec<u8>>, Fault> {
    let (shell, flag) = platform::SHELL;
    let mut command = Command::new(shell);
    command.arg(flag).arg(script).envs(environment(own, event));
    let mut running = platform::start(&mut command).map_err(Fault::Start)?;
    let stdin = running.child.stdin.take();
    let payload = input(event);
    let started = Instant::now();
    let mut ring = Ring::default();
    let ended = {
        let work = async {
            let (status, ()) = tokio::join!(
                reap(&mut running, &mut ring, limit.is_some()),
                feed(stdin, &payload),
            );
            status
        };
        tokio::pin!(work);
        let slow = async {
            sleep_until(started + SLOW).await;
            tracing::warn!("Script '{script}' slow, execution exceeding {}", "1s");
            std::future::pending::<()>().await;
        };
        let late = async {
            match limit {
                Some(limit) => sleep_until(started + limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = &mut work => Some(status),
            () = slow => None,
            () = late => None,
        }
    };
    let status = match (ended, limit) {
        (Some(status), _) => status.map_err(Fault::Wait)?,
        (None, limit) => {
            platform::kill(&mut running.child).await;
            return Err(Fault::Late(limit.unwrap_or_default()));
        }
    };
    finish(script, event, ring, status)
}

fn finish(
    script: &str,
    event: &Event,
    ring: Ring,
    status: ExitStatus,
) -> Result<Option<Vec<u8>>, Fault> {
    let written = ring.written();
    let output = ring.into_bytes();
    if written > u64::try_from(OUTPUT_BYTES_MAX).unwrap_or(u64::MAX) {
        tracing::warn!(
            "Script '{script}' generated {written} bytes of output, truncated to {OUTPUT_BYTES_MAX}"
        );
    }
    let text = String::from_utf8_lossy(&output);
    tracing::debug!("Event '{}' script output: {text}", event.kind());
    if !status.success() {
        return Err(Fault::Status(status));
    }
    Ok((written > 0).then_some(output))
}

/// Waits for the end of the script, and keeps the end of what it prints.
async fn reap(
    running: &mut platform::Running,
    ring: &mut Ring,
    is_hurried: bool,
) -> io::Result<ExitStatus> {
    let platform::Running { child, output } = running;
    let status = {
        let print = keep(output, ring);
        tokio::pin!(print);
        tokio::select! {
            // All ends are closed, and the script ends now, or soon.
            () = &mut print => child.wait().await?,
            status = child.wait() => {
                let status = status?;
                if is_hurried {
                    // What is still to be read is there already, unless something was left behind.
                    drop(timeout(REMAINS, print).await);
                } else {
                    print.await;
                }
                status
            }
        }
    };
    Ok(status)
}

async fn keep(output: &mut Output, ring: &mut Ring) {
    let mut piece = [0; 1024];
    while let Ok(count) = output.read(&mut piece).await {
        if count == 0 {
            return;
        }
        ring.write(&piece[..count]);
    }
}

/// Many scripts do not read what they are given: a closed end is no fault.
async fn feed(stdin: Option<ChildStdin>, payload: &[u8]) {
    if let Some(mut stdin) = stdin
        && let Err(error) = stdin.write_all(payload).await
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tracing::error!("Error writing payload: {error}");
    }
}

/// In Go's words.
fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => {
            let text = status.to_string();
            // `signal: 9 (SIGKILL)`, as the standard library has it.
            text.to_lowercase()
        }
    }
}
