//! [pure] User events: sent by one, told once by each.

use bytes::{Bytes, BytesMut};
use tracing::warn;

use super::machine::{Serf, Told};
use super::ring::Seen;
use super::{Error, Event, LTime, UserEvent};
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
        self.see_user_event(&message);
        self.event_queue.push(encoded.freeze(), None, None);
        Ok(time)
    }

    /// A user event came, or is ours. True if it is news: then it was told, and is to be passed on.
    pub(super) fn see_user_event(&mut self, event: &Message) -> bool {
        self.event_clock.witness(event.ltime);
        let told = Told {
            name: event.name.clone(),
            payload: Bytes::copy_from_slice(&event.payload),
        };
        let payload = told.payload.clone();
        match self.events.see(event.ltime, self.event_clock.time(), told) {
            Seen::New => {}
            Seen::TooOld => {
                let (time, current) = (event.ltime, self.event_clock.time());
                warn!(
                    "received old event {} from time {time} (current: {current})",
                    event.name
                );
                return false;
            }
            Seen::TooMany => {
                warn!(
                    "too many different events at time {}: {} is dropped",
                    event.ltime, event.name
                );
                return false;
            }
            Seen::Before | Seen::Swallowed => return false,
        }
        self.counters.events += 1;
        self.out.events.push(Event::User(UserEvent {
            time: event.ltime,
            name: event.name.clone(),
            payload,
            coalesce: event.coalesce,
        }));
        true
    }
}
