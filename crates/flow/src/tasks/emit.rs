//! [pure] `emit`: an event that is sent.

use crate::template::Template;

/// An event that is sent.
#[derive(Debug)]
pub struct Emit {
    /// The event's attributes as one template of an object.
    pub with: Template,
}
