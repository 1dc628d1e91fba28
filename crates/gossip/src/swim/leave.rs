//! [pure] Leaving on purpose: our own word that we are gone, told as often as any broadcast before we go.

use super::machine::Turn;
use super::{Delegate, Output, Swim, Token};
use crate::moment::Moment;
use crate::wire::memberlist::Dead;

/// Whether we are leaving. There is no way back: who returns starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Staying,
    Leaving,
}

impl Swim {
    /// Tells everybody that we leave. [`Output::Finished`] with `token` says when it has been told often enough;
    /// whoever waits for it gives up after a time of their own (`BroadcastTimeout`, 5 s).
    pub fn leave(&mut self, now: Moment, token: Token, delegate: &mut dyn Delegate) {
        if self.is_leaving() {
            self.outputs.push_back(Output::Finished(token));
            return;
        }
        self.leave = Leave::Leaving;
        let is_alone = !self.members.is_any_alive(self.me);
        let me = self.me();
        let dead = Dead {
            incarnation: me.incarnation,
            node: me.name.clone(),
            from: me.name.clone(),
        };
        let waits = Some(token).filter(|_| !is_alone);
        self.dead(&mut Turn { now, delegate }, dead, waits);
        if is_alone {
            self.outputs.push_back(Output::Finished(token));
        }
    }

    /// True from the call of [`Swim::leave`] on.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leave == Leave::Leaving
    }
}
