//! One talk with a server: reads what is ours in the zone, changes what is not as it should be.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use taraf_base::Rng;

use super::error::Error;
use super::exchange::Exchange;
use super::mark::{self, Datum, Mark};
use super::plan::{Change, Known, Publication, Zone, batches};
use super::wanted::{NAMES_MAX, Wanted};

/// How often the changes are made anew when others were there first, before it counts as a failure.
const ROUNDS_MAX: usize = 4;

/// A talk with a server about a zone.
pub(super) struct Session<'a> {
    exchange: Exchange,
    publication: &'a Publication,
    rng: Rng,
    is_read: bool,
    /// The names that the list of ours has, where it was read.
    listed: Option<BTreeSet<Name>>,
    /// What is ours there.
    pub(super) known: Zone,
    /// Names that somebody else has.
    pub(super) taken: BTreeSet<Name>,
    /// How many changes were made.
    pub(super) made: u64,
}

impl<'a> Session<'a> {
    /// A talk that begins with what is known to be ours, if anything is.
    pub(super) fn begin(
        exchange: Exchange,
        publication: &'a Publication,
        known: Option<Zone>,
        seed: u64,
    ) -> Self {
        Self {
            exchange,
            publication,
            rng: Rng::new(seed),
            is_read: known.is_some(),
            listed: None,
            known: known.unwrap_or_default(),
            taken: BTreeSet::new(),
            made: 0,
        }
    }

    /// Makes the zone as it should be; what vanishes is left there unless it may be removed. Whoever is late looks
    /// first whether it was done already. False when something is left to be removed.
    pub(super) async fn reconcile(
        &mut self,
        wanted: &Wanted,
        may_remove: bool,
        is_late: bool,
    ) -> Result<bool, Error> {
        if !self.is_read {
            self.read_zone().await?;
        }
        for round in 0..ROUNDS_MAX {
            let mut changes = self.publication.changes(wanted, &self.known);
            changes.retain(|change| !self.taken.contains(&change.name));
            let all = changes.len();
            if !may_remove {
                changes.retain(|change| !change.removes());
            }
            if changes.is_empty() {
                return Ok(all == 0);
            }
            if is_late && self.is_read && round == 0 {
                for change in changes {
                    self.read_name(&change.name).await?;
                }
                continue;
            }
            for batch in batches(changes) {
                self.make(batch).await?;
            }
        }
        Err(Error::Contested { rounds: ROUNDS_MAX })
    }

    /// Reads all that is ours.
    async fn read_zone(&mut self) -> Result<(), Error> {
        let Some(index) = self.publication.index() else {
            return Ok(());
        };
        let answer = self.question(&index, RecordType::PTR).await?;
        let listed = answer
            .answers
            .into_iter()
            .filter_map(|record| match record.data {
                RData::PTR(listed) if record.name == index => Some(listed.0.to_lowercase()),
                _ => None,
            });
        let zone = &self.publication.zone;
        let listed = listed.filter(|name| zone.zone_of(name));
        let listed: BTreeSet<Name> = listed.take(NAMES_MAX * 2).collect();
        self.listed = Some(listed.clone());
        for name in listed {
            self.read_name(&name).await?;
        }
        Ok(())
    }

    /// Reads what is ours at a name.
    async fn read_name(&mut self, name: &Name) -> Result<(), Error> {
        match self.mark(name).await? {
            Some(known) => self.known.insert(name.clone(), known),
            None => self.known.remove(name),
        };
        Ok(())
    }

    async fn mark(&mut self, name: &Name) -> Result<Option<Known>, Error> {
        let Some(place) = mark::place(name) else {
            return Ok(None);
        };
        let answer = self.question(&place, RecordType::TXT).await?;
        let mut texts = answer
            .answers
            .into_iter()
            .filter_map(|record| match record.data {
                RData::TXT(text) if record.name == place => Some(text),
                _ => None,
            });
        // Whoever has put another text beside a mark has made it none.
        let (Some(text), None) = (texts.next(), texts.next()) else {
            return Ok(None);
        };
        let mark = Mark::read(&text).filter(|mark| mark.owner == self.publication.owner);
        let Some(mark) = mark else {
            return Ok(None);
        };
        let is_listed = |listed: &BTreeSet<Name>| listed.contains(name);
        Ok(Some(Known {
            missing: self.missing(name, &mark).await?,
            is_listed: self.listed.as_ref().is_none_or(is_listed),
            mark,
            text,
        }))
    }

    /// What a mark says and somebody has removed.
    async fn missing(&mut self, name: &Name, mark: &Mark) -> Result<BTreeSet<Datum>, Error> {
        let mut missing = mark.data.clone();
        let kinds: BTreeSet<RecordType> = mark.data.iter().map(Datum::kind).collect();
        for kind in kinds {
            let answer = self.question(name, kind).await?;
            let records = answer.answers.iter();
            for record in records.filter(|record| record.name == *name) {
                if let Some(datum) = Datum::of(&record.data) {
                    missing.remove(&datum);
                }
            }
        }
        Ok(missing)
    }

    async fn question(&mut self, name: &Name, kind: RecordType) -> Result<Message, Error> {
        let id = self.id();
        let question = Publication::question(id, name, kind);
        self.exchange.ask(question).await
    }

    /// Makes the changes together, or, when one of them does not find what it expects, each by itself.
    async fn make(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        if self.try_make(&changes).await? {
            return Ok(());
        }
        let is_one = changes.len() == 1;
        for change in changes {
            if !is_one && self.try_make(std::slice::from_ref(&change)).await? {
                continue;
            }
            self.read_name(&change.name).await?;
            // Nothing of ours is there, and yet the name is in use.
            if change.known.is_none() && !self.known.contains_key(&change.name) {
                self.taken.insert(change.name);
            }
        }
        Ok(())
    }

    /// False when something was not as expected, and nothing was changed.
    async fn try_make(&mut self, changes: &[Change]) -> Result<bool, Error> {
        let id = self.id();
        let message = self.publication.message(id, changes);
        let answer = self.exchange.ask(message).await?;
        if answer.response_code != ResponseCode::NoError {
            return Ok(false);
        }
        for change in changes {
            match self.publication.after(change) {
                Some(known) => self.known.insert(change.name.clone(), known),
                None => self.known.remove(&change.name),
            };
            self.made = self.made.saturating_add(1);
        }
        Ok(true)
    }

    fn id(&mut self) -> u16 {
        let [a, b, ..] = self.rng.next_u64().to_be_bytes();
        u16::from_be_bytes([a, b])
    }
}
