//! [pure] What one evaluation may spend: steps, bytes and stack, counted per thread.
//!
//! jaq has no bound of its own. All that it does to values passes through [`super::value::Value`],
//! which charges here. Who has spent everything is unwound: an error could be caught by the
//! expression (`try`, `?`), and would only slow a hostile one down.

use std::cell::Cell;
use std::panic::resume_unwind;

/// What a step costs in units; a clone, the cheapest thing, costs one.
pub(crate) const STEP: u64 = 10;
/// The steps of an evaluation over little data.
pub(crate) const STEPS: u64 = 100_000;
/// The most steps, however large the data.
const MAX_STEPS: u64 = 400_000;
/// Bytes of input that give one step more: work on large data is legitimate.
const BYTES_PER_STEP: u64 = 16;
/// The most bytes of one string.
pub(crate) const MAX_STRING: usize = 16 * 1024 * 1024;

/// Why an evaluation was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// No steps left.
    Steps,
    /// A value over the size limit.
    Size,
    /// The stack is nearly used up.
    Stack,
}

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    /// The lowest address that the stack may reach.
    static FLOOR: Cell<usize> = const { Cell::new(0) };
}

/// Gives this thread a fresh budget for data of that size.
pub(crate) fn begin(bytes: usize, stack: usize) {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let steps = (STEPS + bytes / BYTES_PER_STEP).min(MAX_STEPS);
    LEFT.set(steps * STEP);
    FLOOR.set(here().saturating_sub(stack));
}

fn here() -> usize {
    let mark = 0_u8;
    std::ptr::from_ref(&mark).addr()
}

/// Takes units from the budget.
pub(crate) fn charge(units: u64) {
    let left = LEFT.get();
    if left < units {
        LEFT.set(0);
        end(Spent::Steps);
    }
    LEFT.set(left - units);
    if here() < FLOOR.get() {
        end(Spent::Stack);
    }
}

/// Takes what it costs to copy bytes.
pub(crate) fn charge_bytes(bytes: usize) {
    if bytes > MAX_STRING {
        end(Spent::Size);
    }
    charge(units(bytes / 32));
}

/// Takes what it costs to copy items.
pub(crate) fn charge_items(items: usize) {
    charge(units(items / 4));
}

pub(crate) fn units(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX / 2)
}

/// Ends the evaluation.
pub(crate) fn end(why: Spent) -> ! {
    resume_unwind(Box::new(why))
}
