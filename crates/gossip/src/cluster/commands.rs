//! [pure] Commands to a running member: what is answered at once, and what is answered later by its token.

use std::net::SocketAddr;

use bytes::Bytes;
use taraf_base::Secret;

use super::Output;
use super::machine::{Cluster, Join, Late, Waiting};
use crate::moment::Moment;
use crate::serf::{Error, KeyOperation, LTime, QueryKey, QueryParams, Tags};
use crate::swim::{Joined, Name, Token};

impl Cluster {
    /// Sends a user event to everybody, ourselves included.
    ///
    /// # Errors
    /// When it is too large.
    pub fn user_event(
        &mut self,
        now: Moment,
        name: &Name,
        payload: Bytes,
        coalesce: bool,
    ) -> Result<LTime, Error> {
        let result = self.serf.user_event(now, name, payload, coalesce);
        self.settle(now);
        result
    }

    /// Asks; the answers come as [`Output::Answer`] with the key that is returned, until the time that is returned.
    ///
    /// # Errors
    /// When the query is too large, too many run, or the name is Serf's own.
    pub fn query(
        &mut self,
        now: Moment,
        name: &Name,
        payload: Bytes,
        params: &QueryParams,
    ) -> Result<(QueryKey, Moment), Error> {
        let result = self.serf.query(now, name, payload, params);
        self.settle(now);
        result
    }

    /// Answers a query, once.
    ///
    /// # Errors
    /// When the answer is too large, comes twice or too late.
    pub fn respond(&mut self, now: Moment, query: QueryKey, payload: Bytes) -> Result<(), Error> {
        let result = self.serf.respond(now, query, payload);
        self.settle(now);
        result
    }

    /// Exchanges states with these addresses; ends with [`Output::Joined`]. Without `replays`, user events from
    /// before are not told.
    pub fn join(&mut self, now: Moment, token: Token, addresses: Vec<SocketAddr>, replays: bool) {
        let refusal = if !self.serf.is_alive() {
            Some(Error::NotAlive)
        } else if self.joins.len() >= self.config.joins_max {
            Some(Error::TooManyCommands {
                max: self.config.joins_max,
            })
        } else {
            None
        };
        if let Some(error) = refusal {
            self.outputs.push_back(Output::Joined {
                token,
                result: Err(error),
            });
            return;
        }
        // One at a time, since whether old events are told hangs on it.
        self.joins.push_back(Join {
            token,
            addresses,
            replays,
        });
        if self.joins.len() == 1 {
            self.join_first(now);
        }
        self.settle(now);
    }

    fn join_first(&mut self, now: Moment) {
        let Some(join) = self.joins.front_mut() else {
            return;
        };
        let addresses = std::mem::take(&mut join.addresses);
        self.serf.ignore_old_events(!join.replays);
        self.swim.join(now, join.token, addresses, &mut self.serf);
    }

    /// A join has ended: a command, an attempt to find members again, or one to reach a failed member.
    pub(super) fn join_ended(&mut self, now: Moment, joined: Joined) {
        if self
            .joins
            .front()
            .is_some_and(|join| join.token == joined.token)
        {
            self.joins.pop_front();
            self.serf.ignore_old_events(false);
            if joined.contacted > 0 {
                self.serf.broadcast_join(now);
            }
            let token = joined.token;
            self.outputs.push_back(Output::Joined {
                token,
                result: Ok(joined),
            });
            self.join_first(now);
        } else {
            self.rejoin_ended(now, &joined);
        }
    }

    /// Declares that a failed member has left, or one that is there leaves; ends with [`Output::Done`]. With `prune`
    /// it is forgotten at once.
    pub fn force_leave(&mut self, now: Moment, token: Token, node: &Name, prune: bool) {
        let own = self.own_token();
        if self.refuse_command(token) {
            return;
        }
        if self.serf.broadcast_leave(now, node, prune, own) {
            let until = now + self.config.serf.broadcast_timeout;
            self.waiting.insert(
                own,
                Waiting {
                    token,
                    until,
                    late: Late::Removal,
                },
            );
        } else {
            self.outputs.push_back(Output::Done {
                token,
                result: Ok(()),
            });
        }
        self.settle(now);
    }

    /// Says something else of us from now on; ends with [`Output::Done`]. If the tags do not fit, the old ones stay.
    pub fn set_tags(&mut self, now: Moment, token: Token, tags: Tags) {
        if self.refuse_command(token) {
            return;
        }
        if let Err(error) = self.serf.set_tags(tags) {
            self.outputs.push_back(Output::Done {
                token,
                result: Err(error),
            });
            return;
        }
        let own = self.own_token();
        let until = now + self.config.serf.broadcast_timeout;
        self.waiting.insert(
            own,
            Waiting {
                token,
                until,
                late: Late::Update,
            },
        );
        self.swim.update_meta(now, own, &mut self.serf);
        self.settle(now);
    }

    /// Has all members do something with a gossip key; ends with [`Output::Keys`], or [`Output::Done`] if it cannot
    /// even be asked. `key` is empty for a list.
    pub fn keys(
        &mut self,
        now: Moment,
        token: Token,
        operation: KeyOperation,
        key: Secret<Vec<u8>>,
    ) {
        if let Err(error) = self.serf.key_command(now, token, operation, key) {
            self.outputs.push_back(Output::Done {
                token,
                result: Err(error),
            });
        }
        self.settle(now);
    }

    fn refuse_command(&mut self, token: Token) -> bool {
        let max = self.config.commands_max;
        let is_full = self.waiting.len() >= max;
        if is_full {
            let result = Err(Error::TooManyCommands { max });
            self.outputs.push_back(Output::Done { token, result });
        }
        is_full
    }

    /// A broadcast went out as often as it must.
    pub(super) fn broadcast_finished(&mut self, now: Moment, token: Token) {
        if let Some(waiting) = self.waiting.remove(&token) {
            self.outputs.push_back(Output::Done {
                token: waiting.token,
                result: Ok(()),
            });
        } else {
            self.leave_told(now, token);
        }
    }

    pub(super) fn end_late_commands(&mut self, now: Moment) {
        let late = self
            .waiting
            .extract_if(.., |_, waiting| waiting.until <= now);
        self.outputs.extend(late.map(|(_, waiting)| Output::Done {
            token: waiting.token,
            result: Err(waiting.late.error()),
        }));
    }
}
