//! [pure] Leaving in good order: say so, wait until it was heard, tell membership, stay a moment, go.

use tracing::warn;

use super::Output;
use super::machine::Cluster;
use crate::moment::Moment;
use crate::swim::Token;

/// How far the leave is. Each step ends with its broadcast or when its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nobody wants us to leave.
    Staying,
    /// The intent goes round.
    Saying {
        command: Token,
        broadcast: Token,
        until: Moment,
    },
    /// Membership tells that we are gone.
    Telling {
        command: Token,
        broadcast: Token,
        until: Moment,
        has_others: bool,
    },
    /// Probes of those are answered that have not heard of it yet.
    Lingering { command: Token, until: Moment },
    /// We have left.
    Gone,
}

impl Leave {
    pub(super) const fn deadline(self) -> Option<Moment> {
        match self {
            Self::Staying | Self::Gone => None,
            Self::Saying { until, .. }
            | Self::Telling { until, .. }
            | Self::Lingering { until, .. } => Some(until),
        }
    }
}

impl Cluster {
    /// Leaves; ends with [`Output::Done`] and [`Output::Left`].
    pub fn leave(&mut self, now: Moment, token: Token) {
        if let Some(result) = self.serf.begin_leave() {
            self.outputs.push_back(Output::Done { token, result });
            return;
        }
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.leave(now);
        }
        let broadcast = self.own_token();
        let me = self.config.serf.name.clone();
        if self.serf.broadcast_leave(now, &me, false, broadcast) {
            let until = now + self.config.serf.broadcast_timeout;
            self.leave = Leave::Saying {
                command: token,
                broadcast,
                until,
            };
        } else {
            self.leave_tell(now, token, false);
        }
        self.settle(now);
    }

    fn leave_tell(&mut self, now: Moment, command: Token, has_others: bool) {
        let broadcast = self.own_token();
        let until = now + self.config.serf.broadcast_timeout;
        self.leave = Leave::Telling {
            command,
            broadcast,
            until,
            has_others,
        };
        self.swim.leave(now, broadcast, &mut self.serf);
    }

    fn leave_linger(&mut self, now: Moment, command: Token, has_others: bool) {
        if has_others {
            let until = now + self.config.serf.leave_propagate_delay;
            self.leave = Leave::Lingering { command, until };
        } else {
            self.leave_end(command);
        }
    }

    fn leave_end(&mut self, command: Token) {
        self.leave = Leave::Gone;
        self.serf.end_leave();
        self.tell_held();
        self.outputs.push_back(Output::Done {
            token: command,
            result: Ok(()),
        });
        self.outputs.push_back(Output::Left);
    }

    /// One of our broadcasts went out as often as it must.
    pub(super) fn leave_told(&mut self, now: Moment, token: Token) {
        match self.leave {
            Leave::Saying {
                command, broadcast, ..
            } if broadcast == token => {
                self.leave_tell(now, command, true);
            }
            Leave::Telling {
                command,
                broadcast,
                has_others,
                ..
            } if broadcast == token => {
                self.leave_linger(now, command, has_others);
            }
            Leave::Staying
            | Leave::Saying { .. }
            | Leave::Telling { .. }
            | Leave::Lingering { .. }
            | Leave::Gone => {}
        }
    }

    pub(super) fn leave_timer(&mut self, now: Moment) {
        if self.leave.deadline().is_none_or(|until| until > now) {
            return;
        }
        match self.leave {
            // Serf gives up here and stays half gone; to go on is better for everybody.
            Leave::Saying { command, .. } => {
                warn!("timeout while waiting for graceful leave");
                self.leave_tell(now, command, true);
            }
            Leave::Telling {
                command,
                has_others,
                ..
            } => {
                warn!("timeout waiting for leave broadcast");
                self.leave_linger(now, command, has_others);
            }
            Leave::Lingering { command, .. } => self.leave_end(command),
            Leave::Staying | Leave::Gone => {}
        }
    }
}
