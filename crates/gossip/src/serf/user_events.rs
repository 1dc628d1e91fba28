//! [pure] User events: sent by one, told once by each.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tracing::warn;

use super::machine::{Serf, Told};
use super::ring::Seen;
use super::{Error, Event, LTime, UserEvent};
use crate::moment::Moment;
use crate::swim::Name;
use crate::wire::serf::UserEvent as Message;

/// What no setting can raise, so that an event fits a packet of the largest kind. `UserEventSizeLimit`.
pub const USER_EVENT_BYTES_MAX: usize = 9 * 1024;

impl Serf {
    /// Sends a user event to all members, ourselves included; returns its time.
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
        let max = self.config.user_event_bytes_max;
        let bytes = name.as_bytes().len().saturating_add(payload.len());
        if bytes > max {
            return Err(Error::UserEventTooLarge { max });
        }
        if bytes > USER_EVENT_BYTES_MAX {
            return Err(Error::UserEventInsane {
                max: USER_EVENT_BYTES_MAX,
            });
        }
        let message = Message {
            ltime: self.event_clock.time(),
            name: name.clone(),
            payload,
            coalesce,
        };
        let mut encoded = BytesMut::new();
        message.encode(&mut encoded);
        if encoded.len() > max {
            return Err(Error::EncodedUserEventTooLarge { max });
        }
        if encoded.len() > USER_EVENT_BYTES_MAX {
            return Err(Error::EncodedUserEventInsane {
                max: USER_EVENT_BYTES_MAX,
            });
        }
        let time = self.event_clock.take();
        if let Some(told) = self.see_user_event(&message) {
            self.pass_event(now, time, &told, encoded.freeze(), None);
        }
        Ok(time)
    }

    /// What is news is passed on: at once to our own kind, to all with the next rounds of gossip.
    pub(super) fn pass_event(
        &mut self,
        now: Moment,
        time: LTime,
        told: &Told,
        bytes: Bytes,
        from: Option<SocketAddr>,
    ) {
        self.spread(now, &bytes, from);
        self.remember(now, time, told, bytes.clone());
        self.event_queue.push(bytes, None, None);
    }

    /// A user event came, or is ours. If it is news it was told, and what is kept of it is returned.
    pub(super) fn see_user_event(&mut self, event: &Message) -> Option<Told> {
        self.event_clock.witness(event.ltime);
        let told = Told {
            name: event.name.clone(),
            payload: Bytes::copy_from_slice(&event.payload),
        };
        let (kept, payload) = (told.clone(), told.payload.clone());
        match self.events.see(event.ltime, self.event_clock.time(), told) {
            Seen::New => {}
            Seen::TooOld => {
                let (time, current) = (event.ltime, self.event_clock.time());
                warn!(
                    "received old event {} from time {time} (current: {current})",
                    event.name
                );
                return None;
            }
            Seen::TooMany => {
                warn!(
                    "too many different events at time {}: {} is dropped",
                    event.ltime, event.name
                );
                return None;
            }
            Seen::Before | Seen::Swallowed => return None,
        }
        self.counters.events += 1;
        self.out.events.push(Event::User(UserEvent {
            time: event.ltime,
            name: event.name.clone(),
            payload,
            coalesce: event.coalesce,
        }));
        Some(kept)
    }
}
