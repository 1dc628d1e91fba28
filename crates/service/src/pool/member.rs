//! One endpoint of a pool: its kept connections, its calls under way, what they have shown.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connection::Connection;
use super::direct::Direct;
use super::multiplexed::{Multiplexed, Seat};
use super::{EndpointState, EndpointView, Place};
use crate::Transport;
use crate::breaker::{self, Breaker, State, Ticket};
use crate::client::Config;
use crate::cores;
use crate::outlier::{Sample, Verdict};

/// Kept connections lie in this many lists for the threads of a shared runtime, so that they seldom
/// meet.
const SHARDS_SHARED: usize = 8;

/// And in this many for threads with a runtime of their own, which use their own lists only: a
/// connection is watched by the runtime that made it, and another would wait for its thread.
const SHARDS_OWN: usize = 16;

const SHARDS: usize = SHARDS_SHARED + SHARDS_OWN;

/// Stands for "no clean ticket"; tickets are 32-bit numbers.
const NOT_CLEAN: u64 = u64::MAX;

/// How much a new latency counts in the moving average: one part in this many.
const LATENCY_PARTS: u64 = 16;

/// Connections move between calls and lists as pointers; they are too large to be copied.
type Kept = Vec<Box<Connection>>;

pub(crate) struct Member {
    pub(super) place: Place,
    in_flight: AtomicU32,
    idle: [Mutex<Kept>; SHARDS],
    /// The same for calls that pass as bytes.
    direct: [Mutex<Vec<Direct>>; SHARDS],
    /// Of both kinds.
    idle_count: AtomicU32,
    /// Connections that calls share, in lists as above.
    multiplexed: [Mutex<Vec<Arc<Multiplexed>>>; SHARDS],
    /// Set when the directory no longer names it: calls under way end, nothing is kept.
    retired: AtomicBool,
    /// Set while an operator wants it to take no new calls.
    drained: AtomicBool,
    breaker: Mutex<Breaker>,
    /// The number of the breaker's clean ticket, so that calls that succeed take no lock.
    clean: AtomicU64,
    /// In milliseconds since the client began; 0 when not ejected.
    ejected_until_ms: AtomicU64,
    ejections: AtomicU32,
    interval_calls: AtomicU32,
    interval_failures: AtomicU32,
    /// Before the present interval.
    calls: AtomicU64,
    failures: AtomicU64,
    latency_us: AtomicU64,
}

/// How a call ended, for the breaker and for the comparison with the other endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer below 500.
    Answered,
    /// An answer of 500 or more: the endpoint lives, but counts as failing among its equals.
    AnsweredError,
    /// No answer.
    Failed,
    /// The caller went away before an answer.
    Abandoned,
}

impl Member {
    pub(super) fn new(place: Place, config: breaker::Config) -> Self {
        Self {
            place,
            in_flight: AtomicU32::new(0),
            idle: std::array::from_fn(|_| Mutex::default()),
            direct: std::array::from_fn(|_| Mutex::default()),
            idle_count: AtomicU32::new(0),
            multiplexed: std::array::from_fn(|_| Mutex::default()),
            retired: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            breaker: Mutex::new(Breaker::new(config)),
            clean: AtomicU64::new(0),
            ejected_until_ms: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            interval_calls: AtomicU32::new(0),
            interval_failures: AtomicU32::new(0),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            latency_us: AtomicU64::new(0),
        }
    }

    // === Choosing ===

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn is_ejected(&self, now: Duration) -> bool {
        let until = self.ejected_until_ms.load(Ordering::Relaxed);
        until > 0 && u128::from(until) > now.as_millis()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// Whether it takes no new calls from now on.
    pub(super) fn drain(&self, drained: bool) {
        self.drained.store(drained, Ordering::Relaxed);
    }

    pub(super) fn permits(&self, now: Duration) -> bool {
        self.clean.load(Ordering::Relaxed) != NOT_CLEAN || self.with_breaker(|b| b.permits(now))
    }

    /// Begins a call, unless the breaker refuses it.
    pub(super) fn enter(&self, now: Duration) -> Option<Ticket> {
        let clean = u32::try_from(self.clean.load(Ordering::Relaxed)).ok();
        let ticket = match clean {
            Some(number) => Ticket::from_number(number),
            None => self.with_breaker(|breaker| breaker.enter(now))?,
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(ticket)
    }

    /// The call's result is known; it may still be under way.
    pub(super) fn report(&self, ticket: Ticket, outcome: Outcome, now: Duration) {
        if outcome != Outcome::Abandoned {
            self.interval_calls.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(outcome, Outcome::Failed | Outcome::AnsweredError) {
            self.interval_failures.fetch_add(1, Ordering::Relaxed);
        }
        let is_clean = self.clean.load(Ordering::Relaxed) == u64::from(ticket.number());
        match outcome {
            Outcome::Failed => self.with_breaker(|breaker| breaker.failed(ticket, now)),
            Outcome::Answered | Outcome::AnsweredError | Outcome::Abandoned if is_clean => {}
            Outcome::Answered | Outcome::AnsweredError => {
                self.with_breaker(|breaker| breaker.succeeded(ticket));
            }
            Outcome::Abandoned => self.with_breaker(|breaker| breaker.abandoned(ticket, now)),
        }
    }

    /// The call is over, body included.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn observe_latency(&self, latency: Duration) {
        let new = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let old = self.latency_us.load(Ordering::Relaxed);
        let average = if old == 0 {
            new
        } else {
            old - old / LATENCY_PARTS + new / LATENCY_PARTS
        };
        // Two at once may lose one observation, which an average does not mind.
        self.latency_us.store(average.max(1), Ordering::Relaxed);
    }

    fn with_breaker<T>(&self, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut breaker);
        let clean = breaker
            .clean_ticket()
            .map_or(NOT_CLEAN, |ticket| u64::from(ticket.number()));
        self.clean.store(clean, Ordering::Relaxed);
        result
    }

    // === Kept connections ===

    /// The list of this thread. Its connections are watched by the poller that the thread runs with.
    pub(super) fn shard() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static SHARD: usize = match cores::number() {
                Some(core) => SHARDS_SHARED + core % SHARDS_OWN,
                None => NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS_SHARED,
            };
        }
        SHARD.with(|shard| *shard)
    }

    /// A kept connection that still lives, the last used of this thread first.
    pub(super) fn take_idle(&self) -> Option<Box<Connection>> {
        let own = Self::shard();
        let others = if own < SHARDS_SHARED {
            SHARDS_SHARED
        } else {
            0
        };
        let others = (1..others).map(|offset| (own + offset) % SHARDS_SHARED);
        for shard in std::iter::once(own).chain(others) {
            while self.idle_count.load(Ordering::Relaxed) > 0 {
                let Some(mut connection) = self.lock_idle(shard).pop() else {
                    break;
                };
                self.idle_count.fetch_sub(1, Ordering::Relaxed);
                if connection.is_alive() {
                    return Some(connection);
                }
            }
        }
        None
    }

    /// A kept connection for a call that passes as bytes, the last used of this thread first.
    pub(super) fn take_direct(&self) -> Option<Direct> {
        loop {
            let mut direct = self.lock_direct(Self::shard()).pop()?;
            self.idle_count.fetch_sub(1, Ordering::Relaxed);
            if direct.is_alive() {
                return Some(direct);
            }
        }
    }

    /// Keeps a connection for the next call that passes as bytes, unless enough are kept.
    pub(super) fn keep_direct(&self, mut direct: Direct, config: &Config, now: Duration) {
        if !self.makes_room(config) {
            return;
        }
        direct.idle_since = now;
        direct.buffer.shrink();
        self.lock_direct(direct.shard).push(direct);
        self.sweep_if_retired(now);
    }

    /// A seat on a connection of this thread that calls share.
    pub(super) fn sit(&self, streams_max: u32) -> Option<Seat> {
        if matches!(self.place, Place::Endpoint(_, Transport::Http1)) {
            return None;
        }
        let connections = self.lock_multiplexed(Self::shard());
        connections
            .iter()
            .find_map(|connection| connection.sit(streams_max))
    }

    /// Lets other calls share a connection that one has made.
    pub(super) fn share(
        &self,
        connection: Multiplexed,
        streams_max: u32,
        now: Duration,
    ) -> Option<Seat> {
        let connection = Arc::new(connection);
        let seat = connection.sit(streams_max)?;
        seat.touch(now);
        self.lock_multiplexed(Self::shard()).push(connection);
        self.sweep_if_retired(now);
        Some(seat)
    }

    /// Keeps a connection for the next call, unless enough are kept.
    pub(super) fn keep(&self, mut connection: Box<Connection>, config: &Config, now: Duration) {
        if !self.makes_room(config) {
            return;
        }
        connection.idle_since = now;
        self.lock_idle(connection.shard).push(connection);
        self.sweep_if_retired(now);
    }

    /// Counts one more kept connection, if one more may be kept.
    fn makes_room(&self, config: &Config) -> bool {
        let is_full = self.idle_count.load(Ordering::Relaxed) >= config.idle_max;
        if is_full || self.retired.load(Ordering::Relaxed) {
            return false;
        }
        self.idle_count.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// It may have been retired since it was asked: then nobody else would close what is kept.
    fn sweep_if_retired(&self, now: Duration) {
        if self.retired.load(Ordering::Relaxed) {
            self.sweep(Duration::ZERO, now);
        }
    }

    /// Closes connections that were kept too long or that the other side has closed.
    pub(super) fn sweep(&self, idle_timeout: Duration, now: Duration) {
        let keep_none = self.retired.load(Ordering::Relaxed);
        for shard in 0..SHARDS {
            let mut closed = Vec::new();
            let mut idle = self.lock_idle(shard);
            let mut at = 0;
            while let Some(connection) = idle.get_mut(at) {
                let is_old = now.saturating_sub(connection.idle_since) >= idle_timeout;
                if keep_none || is_old || !connection.is_alive() {
                    closed.push(idle.swap_remove(at));
                    self.idle_count.fetch_sub(1, Ordering::Relaxed);
                } else {
                    at += 1;
                }
            }
            drop(idle);
            let of_no_use = |direct: &mut Direct| {
                let is_old = now.saturating_sub(direct.idle_since) >= idle_timeout;
                keep_none || is_old || !direct.is_alive()
            };
            let mut direct = self.lock_direct(shard);
            let ended: Vec<_> = direct.extract_if(.., of_no_use).collect();
            drop(direct);
            let count = u32::try_from(ended.len()).unwrap_or(0);
            self.idle_count.fetch_sub(count, Ordering::Relaxed);
            let mut multiplexed = self.lock_multiplexed(shard);
            let over = |connection: &mut Arc<Multiplexed>| {
                keep_none || connection.is_over(idle_timeout, now)
            };
            let over: Vec<_> = multiplexed.extract_if(.., over).collect();
            drop(multiplexed);
            drop(over);
            drop(ended);
            // Closing talks to the operating system, so it happens after the lock.
            drop(closed);
        }
    }

    /// The directory no longer names it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.sweep(Duration::ZERO, Duration::ZERO);
    }

    fn lock_multiplexed(&self, shard: usize) -> std::sync::MutexGuard<'_, Vec<Arc<Multiplexed>>> {
        self.multiplexed[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_direct(&self, shard: usize) -> std::sync::MutexGuard<'_, Vec<Direct>> {
        self.direct[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_idle(&self, shard: usize) -> std::sync::MutexGuard<'_, Kept> {
        self.idle[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    // === Judgement ===

    /// What the interval has shown; the next one begins.
    pub(super) fn end_interval(&self) -> Sample {
        let until = self.ejected_until_ms.load(Ordering::Relaxed);
        let calls = self.interval_calls.swap(0, Ordering::Relaxed);
        let failures = self.interval_failures.swap(0, Ordering::Relaxed);
        self.calls.fetch_add(calls.into(), Ordering::Relaxed);
        self.failures.fetch_add(failures.into(), Ordering::Relaxed);
        Sample {
            calls,
            failures,
            ejected_until: (until > 0).then(|| Duration::from_millis(until)),
            ejections: self.ejections.load(Ordering::Relaxed),
        }
    }

    pub(super) fn accept(&self, verdict: Verdict) {
        match verdict {
            Verdict::Keep => {}
            Verdict::Eject { until } => {
                let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
                self.ejected_until_ms.store(until, Ordering::Relaxed);
                self.ejections.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Return => self.ejected_until_ms.store(0, Ordering::Relaxed),
            Verdict::Forgive => self.ejections.store(0, Ordering::Relaxed),
        }
    }

    pub(super) fn view(&self, weight: u32, now: Duration) -> EndpointView {
        let state = match self.with_breaker(|breaker| breaker.state()) {
            _any if self.is_drained() => EndpointState::Drained,
            _any if self.is_ejected(now) => EndpointState::Ejected,
            State::Closed => EndpointState::Closed,
            State::Open { .. } => EndpointState::Open,
            State::HalfOpen => EndpointState::HalfOpen,
        };
        EndpointView {
            address: self.place.to_string(),
            weight,
            in_flight: self.in_flight(),
            idle: self.idle_count.load(Ordering::Relaxed),
            state,
            calls: self.calls.load(Ordering::Relaxed)
                + u64::from(self.interval_calls.load(Ordering::Relaxed)),
            failures: self.failures.load(Ordering::Relaxed)
                + u64::from(self.interval_failures.load(Ordering::Relaxed)),
            latency_us: self.latency_us.load(Ordering::Relaxed),
        }
    }
}
