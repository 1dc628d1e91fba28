//! `--trace FILE`: the lifecycle CloudEvents of a run, one JSON object a line, in order.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use taraf_engine::{Engine, Error};
use taraf_flow::event::CloudEvent;
use tokio::sync::broadcast::{self, error::RecvError};

use super::bench::Ended;
use crate::cli::failure::{Exit, Failure};

/// The last event of a run is published with its end; this long is waited for it.
const LAST_EVENT_LIMIT: Duration = Duration::from_secs(2);

pub(super) struct Trace {
    file: BufWriter<File>,
    path: PathBuf,
    events: broadcast::Receiver<Arc<CloudEvent>>,
    has_ended: bool,
}

impl Trace {
    pub(super) fn open(path: &Path, engine: &Engine) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| {
            Failure::usage(format!(
                "failed to write --trace {}: {error}",
                path.display()
            ))
        })?;
        Ok(Self {
            file: BufWriter::new(file),
            path: path.to_owned(),
            events: engine.subscribe(),
            has_ended: false,
        })
    }

    /// Writes events while the run goes on, and after it the ones that it still caused.
    pub(super) async fn follow(
        mut self,
        run: impl Future<Output = Result<Ended, Error>>,
    ) -> Result<Result<Ended, Error>, Failure> {
        tokio::pin!(run);
        let ended = loop {
            tokio::select! {
                // Both are safe to cancel: `recv` loses nothing, `run` is kept.
                ended = &mut run => break ended,
                event = self.events.recv() => self.write(event)?,
            }
        };
        let is_final = matches!(ended, Ok(Ended::Run(_)));
        let rest = async {
            while is_final && !self.has_ended {
                let event = self.events.recv().await;
                self.write(event)?;
            }
            Ok::<(), Failure>(())
        };
        match tokio::time::timeout(LAST_EVENT_LIMIT, rest).await {
            Ok(written) => written?,
            Err(_elapsed) => {
                return Err(Failure::new(
                    Exit::Failed,
                    "the trace lacks its end: the engine did not tell it",
                ));
            }
        }
        self.file.flush().map_err(|error| self.failed(&error))?;
        Ok(ended)
    }

    fn write(&mut self, event: Result<Arc<CloudEvent>, RecvError>) -> Result<(), Failure> {
        let event = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(missed)) => {
                let message = format!("the trace lacks {missed} events: too many at once");
                return Err(Failure::new(Exit::Failed, message));
            }
            Err(RecvError::Closed) => {
                self.has_ended = true;
                return Ok(());
            }
        };
        let line = serde_json::to_string(&*event).map_err(|error| {
            Failure::new(Exit::Failed, format!("an event cannot be written: {error}"))
        })?;
        writeln!(self.file, "{line}").map_err(|error| self.failed(&error))?;
        self.has_ended |= is_end(&event);
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        let path = self.path.display();
        Failure::new(
            Exit::Failed,
            format!("failed to write --trace {path}: {error}"),
        )
    }
}

fn is_end(event: &CloudEvent) -> bool {
    ["completed", "faulted", "cancelled"]
        .iter()
        .any(|end| event.type_ == format!("io.serverlessworkflow.workflow.{end}.v1"))
}
