//! A running agent: joins that are tried again, signals, and the end.

use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use taraf_gossip::config::{Config, duration};
use taraf_gossip::rpc::Agent as _;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::configure::configure;
use super::log::Log;
use super::output::say;
use super::platform::{Signal, Signals};
use super::start::level_of;
use crate::cli::serf::flags::Parsed;
use crate::membership::Served;

/// How long a leave may take that a signal asked for (Serf 0.9.4).
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// How long an agent has to end.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// An agent that runs, and what it was started with.
pub(super) struct Watched<'a> {
    pub(super) config: Config,
    pub(super) log: Log,
    pub(super) served: Served,
    pub(super) flags: &'a Parsed,
}

/// Catches signals from now on.
pub(super) fn catch() -> Result<Signals, String> {
    Signals::catch().map_err(|error| format!("failed to catch signals: {error}"))
}

impl Watched<'_> {
    /// Until the agent ends. True when that was meant.
    pub(super) async fn run(mut self, mut signals: Signals, tasks: &Tasks) -> bool {
        let given_up = Arc::new(Notify::new());
        self.retry_join(Arc::clone(&given_up), tasks);
        let ended_well = loop {
            let signal = tokio::select! {
                signal = signals.next() => signal,
                () = given_up.notified() => break false,
                () = self.served.handle().stopping() => break true,
            };
            say(&format!("Caught signal: {}", signal.word()));
            let is_graceful = match signal {
                Signal::Hangup => {
                    self.reload().await;
                    continue;
                }
                Signal::Interrupt => !self.config.skip_leave_on_interrupt,
                Signal::Terminate => self.config.leave_on_terminate,
            };
            break is_graceful && self.leave(&mut signals).await;
        };
        tracing::info!("requesting serf shutdown");
        self.served.handle().stop(STOP_LIMIT).await;
        tracing::info!("shutdown complete");
        ended_well
    }

    /// A second signal ends the wait.
    async fn leave(&self, signals: &mut Signals) -> bool {
        say("Gracefully shutting down agent...");
        tokio::select! {
            left = timeout(LEAVE_LIMIT, self.served.leave()) => match left {
                Ok(Ok(())) => true,
                Ok(Err(refused)) => {
                    say(&format!("Error: {refused}"));
                    false
                }
                Err(_elapsed) => false,
            },
            _ = signals.next() => false,
        }
    }

    /// Reads the configuration anew: level, handlers, tags, and what signals do. The rest is as it was started.
    async fn reload(&mut self) {
        say("Reloading configuration...");
        let mut configured = match configure(self.flags) {
            Ok(configured) => configured,
            Err(error) => {
                say(&error);
                say("Failed to reload configs");
                return;
            }
        };
        for line in &configured.said {
            say(line);
        }
        match level_of(&configured.config) {
            Ok(level) => self.log.set_level(level),
            Err(error) => {
                say(&error);
                configured.config.log_level = self.config.log_level.clone();
            }
        }
        if let Some(handlers) = self.served.handlers() {
            handlers.replace(configured.handlers);
        }
        // Those in a file are not the configuration's.
        if configured.config.tags_file.is_none()
            && let Err(refused) = self.served.set_tags(configured.config.tags.clone()).await
        {
            say(&format!("Failed to update tags: {refused}"));
        }
        self.config = configured.config;
    }

    /// Tries to join until one is reached, beside everything else.
    fn retry_join(&self, given_up: Arc<Notify>, tasks: &Tasks) {
        let (config, served) = (self.config.clone(), self.served.clone());
        if config.retry_join.is_empty() {
            return;
        }
        let token = tasks.token();
        tasks.spawn("retry join", async move {
            let tried = token
                .run_until_cancelled(try_to_join(&config, &served))
                .await;
            if tried == Some(false) {
                tracing::error!("maximum retry join attempts made, exiting");
                given_up.notify_one();
            }
        });
    }
}

/// False when there are no more attempts.
async fn try_to_join(config: &Config, served: &Served) -> bool {
    let (interval, replay) = (config.retry_interval(), config.replay_on_join);
    let mut attempts: u32 = 0;
    loop {
        tracing::info!("Joining cluster...(replay: {replay})");
        let joined = served.join(config.retry_join.clone(), replay).await;
        let Some(error) = joined.error else {
            tracing::info!(
                "Join completed. Synced with {} initial agents",
                joined.count
            );
            return true;
        };
        attempts = attempts.saturating_add(1);
        if config.retry_max_attempts > 0 && attempts > config.retry_max_attempts {
            return false;
        }
        let after = duration::format(interval);
        tracing::warn!("Join failed: {error}, retrying in {after}");
        sleep(interval).await;
    }
}
