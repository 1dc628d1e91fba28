//! [pure] The runs of a partition: those at work as values, those that rest as bytes, in memory or in
//! an attic outside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use taraf_base::Timestamp;
use taraf_log::machine::DecodeError;

use super::action::Purpose;
use super::event::What;
use super::hash::digest;
use super::packed::{self, Label};
use super::rest::{Rest, Spot};
use super::run::Run;
use crate::{RunId, Status};

/// Runs that are looked at for rest after each event: more than begin by one, so that rest keeps up.
const LOOKED_AT: usize = 2;
/// Longer labels are rare.
const LABEL_BYTES: u32 = 256;
/// A run is weighed again when it has grown by what it weighed, but not for fewer bytes than these.
const GROWN_BYTES_MIN: usize = 4 << 10;

/// A run that is kept as a value.
#[derive(Debug)]
struct Awake {
    run: Run,
    /// What it took when it was last weighed.
    weight: usize,
    /// The most that it can have grown by since.
    grown: usize,
    /// Whether something happened to it since it was last looked at for rest.
    is_fresh: bool,
}

/// A run that rests.
#[derive(Debug)]
struct Asleep {
    place: Place,
    status: Status,
}

#[derive(Debug)]
enum Place {
    Here(Box<[u8]>),
    Away(Spot),
}

/// How many runs, and roughly how many bytes they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    runs: usize,
    bytes: usize,
}

/// What a run waits for, as far as one has to know after replay.
pub(super) enum Waiting<'a> {
    /// For these timers alone.
    Timers(RunId, &'a [(u32, Purpose, Timestamp)]),
    /// For what its state says.
    Run(&'a Run),
}

/// All runs that a partition keeps.
///
/// Invariant: a run is in one of the two maps, one that has ended in the first. Which one changes
/// nothing that anybody can see: the bytes of a resting run are those that a snapshot has of it in
/// either.
#[derive(Debug)]
pub struct Runs {
    awake: BTreeMap<RunId, Awake>,
    asleep: BTreeMap<RunId, Asleep>,
    /// Bytes of those that rest, wherever they are.
    asleep_bytes: usize,
    /// Those awake that have not ended.
    live: Tally,
    /// Those that have.
    ended: Tally,
    /// The run that was last looked at for rest.
    hand: Option<RunId>,
    rest: Rest,
}

impl Awake {
    fn new(run: Run) -> Self {
        Self {
            weight: run.weight(),
            run,
            grown: 0,
            is_fresh: true,
        }
    }

    const fn bytes(&self) -> usize {
        self.weight.saturating_add(self.grown)
    }

    fn evolve(&mut self, what: &What, at: Timestamp) {
        self.run.evolve(what, at);
        self.is_fresh = true;
        self.grown = self.grown.saturating_add(what.weight());
        if self.grown > self.weight.max(GROWN_BYTES_MIN) || what.is_end() {
            self.weight = self.run.weight();
            self.grown = 0;
        }
    }
}

impl Tally {
    const fn add(&mut self, bytes: usize) {
        self.runs = self.runs.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    const fn take(&mut self, bytes: usize) {
        self.runs = self.runs.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Runs {
    /// None yet.
    pub(super) const fn new(rest: Rest) -> Self {
        Self {
            awake: BTreeMap::new(),
            asleep: BTreeMap::new(),
            asleep_bytes: 0,
            live: Tally { runs: 0, bytes: 0 },
            ended: Tally { runs: 0, bytes: 0 },
            hand: None,
            rest,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.awake.len().saturating_add(self.asleep.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rest.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.asleep.len()
    }

    /// How many have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.runs.saturating_add(self.asleep.len())
    }

    /// Bytes of those, roughly, wherever they are.
    #[must_use]
    pub const fn live_bytes(&self) -> usize {
        self.live.bytes.saturating_add(self.asleep_bytes)
    }

    /// Bytes of those that have ended, roughly.
    #[must_use]
    pub const fn ended_bytes(&self) -> usize {
        self.ended.bytes
    }

    /// Whether that run is kept.
    #[must_use]
    pub fn contains(&self, id: &RunId) -> bool {
        self.awake.contains_key(id) || self.asleep.contains_key(id)
    }

    /// One run.
    #[must_use]
    pub fn get(&self, id: &RunId) -> Option<Cow<'_, Run>> {
        if let Some(awake) = self.awake.get(id) {
            return Some(Cow::Borrowed(&awake.run));
        }
        let asleep = self.asleep.get(id)?;
        Some(Cow::Owned(self.unpacked(asleep)))
    }

    /// Ids of the runs in a range, in order, with their phases.
    pub fn statuses(
        &self,
        range: impl RangeBounds<RunId> + Clone,
    ) -> impl Iterator<Item = (RunId, Status)> {
        let awake = self.awake.range(range.clone());
        let asleep = self.asleep.range(range);
        let mut awake = awake
            .map(|(id, awake)| (*id, awake.run.status()))
            .peekable();
        let mut asleep = asleep.map(|(id, asleep)| (*id, asleep.status)).peekable();
        std::iter::from_fn(move || match (awake.peek(), asleep.peek()) {
            (Some(one), Some(other)) if one.0 > other.0 => asleep.next(),
            (None, _) => asleep.next(),
            (Some(_), _) => awake.next(),
        })
    }

    /// The same up to `end`, the last first.
    pub fn statuses_back_from(&self, end: Bound<RunId>) -> impl Iterator<Item = (RunId, Status)> {
        let range = (Bound::Unbounded, end);
        let awake = self.awake.range(range).rev();
        let asleep = self.asleep.range(range).rev();
        let mut awake = awake
            .map(|(id, awake)| (*id, awake.run.status()))
            .peekable();
        let mut asleep = asleep.map(|(id, asleep)| (*id, asleep.status)).peekable();
        std::iter::from_fn(move || match (awake.peek(), asleep.peek()) {
            (Some(one), Some(other)) if one.0 < other.0 => asleep.next(),
            (None, _) => asleep.next(),
            (Some(_), _) => awake.next(),
        })
    }

    /// Goes through all runs, in no order that means anything.
    pub fn each(&self, mut see: impl FnMut(&Run)) {
        for awake in self.awake.values() {
            see(&awake.run);
        }
        for asleep in self.asleep.values() {
            see(&self.unpacked(asleep));
        }
    }

    /// Goes through what all runs wait for, in no order that means anything.
    pub(super) fn each_waiting(&self, mut see: impl FnMut(Waiting<'_>)) {
        for awake in self.awake.values() {
            see(Waiting::Run(&awake.run));
        }
        for (id, asleep) in &self.asleep {
            match self.label(asleep).timers {
                Some(timers) => see(Waiting::Timers(*id, &timers)),
                None => see(Waiting::Run(&self.unpacked(asleep))),
            }
        }
    }

    /// The bytes of every run in the order of their ids, as a snapshot has them.
    pub(super) fn each_packed<E>(
        &self,
        mut see: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for (id, _) in self.statuses(..) {
            match (self.awake.get(&id), self.asleep.get(&id)) {
                (Some(awake), _) => see(&packed::pack(&awake.run))?,
                (None, Some(asleep)) => see(&self.bytes(asleep))?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// The bytes of one run, the same whether it rests or not.
    pub(super) fn packed(&self, id: RunId) -> Option<Vec<u8>> {
        if let Some(awake) = self.awake.get(&id) {
            return Some(packed::pack(&awake.run));
        }
        self.asleep.get(&id).map(|asleep| self.bytes(asleep).into())
    }

    /// Keeps a run.
    pub(super) fn insert(&mut self, run: Run) {
        let awake = Awake::new(run);
        self.tally(awake.run.ended.is_some()).add(awake.bytes());
        self.awake.insert(awake.run.id, awake);
    }

    /// Keeps a run as a snapshot has it, and answers its label. It rests until it moves: then the hash of
    /// its bytes is answered too, so that nobody fetches them again for it.
    pub(super) fn insert_packed(
        &mut self,
        bytes: Vec<u8>,
    ) -> Result<(Label, Option<u64>), DecodeError> {
        let label = Label::read(&bytes)?;
        if label.ended.is_some() {
            self.insert(packed::unpack(&bytes)?);
            return Ok((label, None));
        }
        let hash = digest(label.id.get(), &bytes);
        self.lay(label.id, bytes, label.status);
        Ok((label, Some(hash)))
    }

    /// Applies an event to a run, and answers whether there is one and whether it has ended by it.
    pub(super) fn evolve(&mut self, id: RunId, what: &What, at: Timestamp) -> Option<bool> {
        let awake = self.wake(id)?;
        let (had_ended, before) = (awake.run.ended.is_some(), awake.bytes());
        awake.evolve(what, at);
        let (has_ended, after) = (awake.run.ended.is_some(), awake.bytes());
        self.tally(had_ended).take(before);
        self.tally(has_ended).add(after);
        Some(has_ended && !had_ended)
    }

    /// Lets go of a run.
    pub(super) fn remove(&mut self, id: RunId) -> Option<Run> {
        self.wake(id)?;
        let awake = self.awake.remove(&id)?;
        self.tally(awake.run.ended.is_some()).take(awake.bytes());
        Some(awake.run)
    }

    /// Lets some that were not touched lately rest. Those that have ended wait for the archive.
    pub(super) fn rest(&mut self) {
        for _ in 0..LOOKED_AT {
            let is_crowded = self.live.runs > self.rest.awake_max;
            if !is_crowded && self.live.bytes <= self.rest.awake_bytes_max {
                return;
            }
            let behind = self.hand.map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.awake.range_mut((behind, Bound::Unbounded)).next();
            let Some((&id, awake)) = next else {
                self.hand = None;
                continue;
            };
            self.hand = Some(id);
            if awake.run.ended.is_some() || std::mem::take(&mut awake.is_fresh) {
                continue;
            }
            if let Some(awake) = self.awake.remove(&id) {
                self.live.take(awake.bytes());
                self.lay(id, packed::pack(&awake.run), awake.run.status());
            }
        }
    }

    fn lay(&mut self, id: RunId, packed: Vec<u8>, status: Status) {
        self.asleep_bytes = self.asleep_bytes.saturating_add(packed.len());
        let is_long = packed.len() > self.rest.here_bytes_max;
        let attic = self.rest.attic.as_ref().filter(|_| is_long);
        let away = attic.and_then(|attic| attic.put(&packed));
        let place = away.map_or_else(|| Place::Here(packed.into()), Place::Away);
        self.asleep.insert(id, Asleep { place, status });
    }

    /// A run that will be changed.
    fn wake(&mut self, id: RunId) -> Option<&mut Awake> {
        if !self.awake.contains_key(&id) {
            let asleep = self.asleep.remove(&id)?;
            let run = self.unpacked(&asleep);
            self.asleep_bytes = self.asleep_bytes.saturating_sub(asleep.len());
            self.free(&asleep);
            self.insert(run);
        }
        self.awake.get_mut(&id)
    }

    fn unpacked(&self, asleep: &Asleep) -> Run {
        packed::unpack(&self.bytes(asleep)).expect(READ_BACK)
    }

    fn bytes<'a>(&self, asleep: &'a Asleep) -> Cow<'a, [u8]> {
        match (&asleep.place, &self.rest.attic) {
            (Place::Here(bytes), _) => Cow::Borrowed(bytes),
            (Place::Away(spot), Some(attic)) => Cow::Owned(attic.get(*spot).expect(READ_BACK)),
            (Place::Away(_), None) => Cow::Borrowed(&[]),
        }
    }

    /// What stands before a resting run, for which the first bytes mostly do.
    fn label(&self, asleep: &Asleep) -> Label {
        if let (Place::Away(spot), Some(attic)) = (&asleep.place, &self.rest.attic) {
            let len = spot.len.min(LABEL_BYTES);
            let head = attic.get(Spot { at: spot.at, len });
            if let Some(Ok(label)) = head.map(|head| Label::read(&head)) {
                return label;
            }
        }
        Label::read(&self.bytes(asleep)).expect(READ_BACK)
    }

    fn free(&self, asleep: &Asleep) {
        if let (Place::Away(spot), Some(attic)) = (&asleep.place, &self.rest.attic) {
            attic.free(*spot);
        }
    }

    const fn tally(&mut self, has_ended: bool) -> &mut Tally {
        if has_ended {
            &mut self.ended
        } else {
            &mut self.live
        }
    }
}

/// Invariant: this process packed these bytes itself, or read them from a snapshot whose checksum was
/// right. An attic that cannot give back what it took has lost state: the partition stops and is
/// rebuilt from its log.
const READ_BACK: &str = "a resting run is read back";

impl Asleep {
    fn len(&self) -> usize {
        match &self.place {
            Place::Here(bytes) => bytes.len(),
            Place::Away(spot) => usize::try_from(spot.len).unwrap_or(usize::MAX),
        }
    }
}

impl Default for Runs {
    fn default() -> Self {
        Self::new(Rest::default())
    }
}

/// The attic may be there for longer.
impl Drop for Runs {
    fn drop(&mut self) {
        for asleep in self.asleep.values() {
            self.free(asleep);
        }
    }
}

#[cfg(test)]
mod tests;
