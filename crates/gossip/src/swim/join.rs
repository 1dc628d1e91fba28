//! [pure] Joining: an exchange of state with each of some addresses, a few at a time.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::machine::Turn;
use super::{Delegate, Joined, Output, Swim, Token};
use crate::moment::Moment;

/// A join under way.
#[derive(Debug)]
pub(super) struct Join {
    waiting: VecDeque<SocketAddr>,
    open: usize,
    result: Joined,
}

impl Swim {
    /// Exchanges states with all `addresses`; [`Output::Joined`] tells how that went.
    pub fn join(
        &mut self,
        now: Moment,
        token: Token,
        addresses: impl IntoIterator<Item = SocketAddr>,
        delegate: &mut dyn Delegate,
    ) {
        let join = Join {
            waiting: addresses.into_iter().collect(),
            open: 0,
            result: Joined {
                token,
                contacted: 0,
                failed: Vec::new(),
            },
        };
        self.joins.insert(token, join);
        self.join_on(&mut Turn { now, delegate }, token);
    }

    /// One of the addresses of a join has been contacted, or has not.
    pub(super) fn join_went(
        &mut self,
        turn: &mut Turn<'_>,
        token: Token,
        address: SocketAddr,
        result: Result<(), String>,
    ) {
        let Some(join) = self.joins.get_mut(&token) else {
            return;
        };
        join.open = join.open.saturating_sub(1);
        match result {
            Ok(()) => join.result.contacted += 1,
            Err(why) => join.result.failed.push((address, why)),
        }
        self.join_on(turn, token);
    }

    /// Contacts further addresses, or tells the end.
    fn join_on(&mut self, turn: &mut Turn<'_>, token: Token) {
        while let Some(join) = self.joins.get_mut(&token) {
            if join.open >= self.config.join_parallel.max(1) {
                return;
            }
            let Some(address) = join.waiting.pop_front() else {
                break;
            };
            join.open += 1;
            self.open_push_pull(turn, address, Some(token));
        }
        if self.joins.get(&token).is_some_and(|join| join.open == 0)
            && let Some(join) = self.joins.remove(&token)
        {
            self.outputs.push_back(Output::Joined(join.result));
        }
    }
}
