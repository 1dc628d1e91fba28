//! [pure] Codes that wait to be asked about: each once, however many callers want it.

use std::collections::{HashMap, VecDeque};

use crate::cui::Cui;

/// Codes in the order in which they came, and who waits for each.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    /// Not asked yet. Invariant: each of these is a key of `waiters`, once.
    waiting: VecDeque<Cui>,
    /// For each code that waits or is asked about now.
    waiters: HashMap<Cui, Vec<W>>,
    max: usize,
}

impl<W> Queue<W> {
    /// A queue for at most `max` codes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiters: HashMap::new(),
            max,
        }
    }

    /// Adds one who waits; gives it back when the queue is full.
    pub(crate) fn push(&mut self, cui: Cui, waiter: W) -> Result<(), W> {
        if let Some(waiters) = self.waiters.get_mut(&cui) {
            waiters.push(waiter);
            return Ok(());
        }
        if self.waiters.len() >= self.max {
            return Err(waiter);
        }
        self.waiting.push_back(cui);
        self.waiters.insert(cui, vec![waiter]);
        Ok(())
    }

    /// Whether some code was not asked about yet.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the codes of the next request; they stay known until they are settled.
    pub(crate) fn batch(&mut self, size: usize) -> Vec<Cui> {
        let size = size.min(self.waiting.len());
        self.waiting.drain(..size).collect()
    }

    /// Everyone who waits for a code that was asked about.
    pub(crate) fn settle(&mut self, cui: Cui) -> Vec<W> {
        self.waiters.remove(&cui).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cui(number: u64) -> Cui {
        Cui::from_number(number).unwrap()
    }

    #[test]
    fn a_code_is_asked_once_for_all_who_want_it_even_while_it_is_under_way() {
        let mut queue = Queue::new(10);
        queue.push(cui(10_004), "a").unwrap();
        queue.push(cui(10_012), "b").unwrap();
        queue.push(cui(10_004), "c").unwrap();
        assert_eq!(queue.batch(100), [cui(10_004), cui(10_012)]);
        queue.push(cui(10_004), "d").unwrap();
        assert!(!queue.has_waiting());
        assert_eq!(queue.settle(cui(10_004)), ["a", "c", "d"]);
        queue.push(cui(10_004), "e").unwrap();
        assert!(queue.has_waiting());
    }

    #[test]
    fn batches_and_the_queue_have_their_sizes() {
        let mut queue = Queue::new(3);
        for code in [10_004, 10_012, 10_020] {
            queue.push(cui(code), code).unwrap();
        }
        assert_eq!(queue.push(cui(10_039), 0), Err(0));
        assert_eq!(queue.push(cui(10_020), 1), Ok(()));
        assert_eq!(queue.batch(2).len(), 2);
        assert_eq!(queue.batch(2), [cui(10_020)]);
    }
}
