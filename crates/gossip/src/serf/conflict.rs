//! [pure] Two members with one name: the others are asked, and who has fewer of them behind it goes.

use bytes::Bytes;
use tracing::{error, info, warn};

use super::Member;
use super::answers::{Purpose, QueryParams};
use super::internal;
use super::machine::Serf;
use crate::moment::Moment;
use crate::swim::{self, Name};
use crate::wire::serf::ConflictResponse;

/// What the others believe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Votes {
    responses: usize,
    matching: usize,
}

impl Votes {
    /// Counts an answer; `me` is what we are.
    pub(super) fn take(&mut self, me: Option<&Member>, payload: &Bytes) {
        match ConflictResponse::decode(payload) {
            Ok(ConflictResponse(believed)) => {
                self.responses += 1;
                let means = |me: &Member, other: &Member| {
                    me.address.ip() == other.address.ip() && me.port == other.port
                };
                let is_me = me
                    .zip(believed.as_ref())
                    .is_some_and(|(me, other)| means(me, other));
                self.matching += usize::from(is_me);
            }
            Err(error) => error!("Failed to decode conflict query response: {error}"),
        }
    }

    /// Whether most mean another.
    const fn is_lost(self) -> bool {
        // With no answers at all nothing is decided: Serf goes even then, and two that are alone both go.
        self.responses > 0 && self.matching < self.responses / 2 + 1
    }
}

impl Serf {
    pub(super) fn name_conflict(
        &mut self,
        now: Moment,
        mine: &swim::Member,
        theirs: &swim::Member,
    ) {
        let (name, other) = (&mine.name, theirs.socket());
        if *name != self.config.name {
            let first = mine.socket();
            warn!("Name conflict for '{name}' both {first} and {other} are claiming");
            return;
        }
        let resolves = self.config.resolves_conflicts;
        error!(
            "Node name conflicts with another node at {other}. Names must be unique! \
             (Resolution enabled: {resolves})"
        );
        let is_asking = self
            .running
            .values()
            .any(|running| matches!(running.purpose, Purpose::Conflict(_)));
        if !resolves || is_asking || !self.is_alive() {
            return;
        }
        let (name, payload) = (Name::from(internal::CONFLICT), self.own_name());
        let purpose = Purpose::Conflict(Votes::default());
        if let Err(error) = self.ask(now, &name, payload, &QueryParams::default(), purpose) {
            error!("Failed to start name resolution query: {error}");
        }
    }

    pub(super) fn decide_conflict(&mut self, votes: &Votes) {
        let Votes {
            responses,
            matching,
        } = votes;
        if votes.is_lost() {
            warn!("minority in name conflict resolution, quitting [{matching} / {responses}]");
            self.out.must_quit = true;
        } else {
            info!("majority in name conflict resolution [{matching} / {responses}]");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_majority_goes() {
        let lost = |matching, responses| {
            Votes {
                responses,
                matching,
            }
            .is_lost()
        };
        assert!(lost(0, 1) && lost(0, 2) && lost(1, 2) && lost(1, 3) && lost(2, 4));
        assert!(!lost(1, 1) && !lost(2, 2) && !lost(2, 3) && !lost(3, 4));
    }

    #[test]
    fn no_answer_decides_nothing() {
        assert!(!Votes::default().is_lost());
    }
}
