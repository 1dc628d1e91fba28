//! [pure] `do`: a list of tasks, one after the other.

use super::super::event::Lane;
use super::super::work::{Next, Work};

pub(super) fn begin(work: &mut Work<'_>, id: u32) {
    work.queue.push(Next::Enter {
        lane: Lane::first(id),
        index: 0,
    });
}
