//! [pure] What must be changed at a server, and the messages that change it (RFC 2136).

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::{PTR, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::mark::{self, Datum, Mark};
use super::wanted::Wanted;

/// Most names that are changed by one message.
const NAMES_PER_MESSAGE: usize = 32;
/// Most records that are named in one message, so that it fits whatever they say.
const RECORDS_PER_MESSAGE: usize = 400;

/// What is known to be ours at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) mark: Mark,
    /// The mark as it stands there, to the letter.
    pub(super) text: TXT,
    /// What the mark says and is not there any more.
    pub(super) missing: BTreeSet<Datum>,
    /// Whether the list of our names has it.
    pub(super) is_listed: bool,
}

/// Ours, by name.
pub(super) type Zone = BTreeMap<Name, Known>;

/// Of what is published: where, by whom, for how long.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) zone: Name,
    pub(super) owner: String,
    pub(super) ttl: u32,
}

/// A name that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: Name,
    /// What is there of ours; none when nothing is.
    pub(super) known: Option<Known>,
    /// What should be there; empty when nothing should.
    pub(super) data: BTreeSet<Datum>,
}

impl Change {
    /// Whether something that was published vanishes by it.
    pub(super) fn removes(&self) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| !known.mark.data.is_subset(&self.data))
    }

    fn records(&self) -> usize {
        let known = self.known.as_ref().map_or(0, |known| known.mark.data.len());
        known + self.data.len()
    }
}

impl Publication {
    /// Where our names are listed.
    pub(super) fn index(&self) -> Option<Name> {
        mark::index(&self.zone, &self.owner)
    }

    /// What must be changed, sorted by name.
    pub(super) fn changes(&self, wanted: &Wanted, known: &Zone) -> Vec<Change> {
        let names: BTreeSet<&Name> = wanted.keys().chain(known.keys()).collect();
        let change = |name: &Name| {
            let data = wanted.get(name).cloned().unwrap_or_default();
            let known = known.get(name).cloned();
            let is_right = match &known {
                Some(known) => {
                    let is_whole = known.missing.is_empty() && known.is_listed;
                    is_whole && known.mark.data == data && known.mark.ttl == self.ttl
                }
                None => data.is_empty(),
            };
            (!is_right).then(|| Change {
                name: name.clone(),
                known,
                data,
            })
        };
        names.into_iter().filter_map(change).collect()
    }

    /// The mark that a name has after a change; none when nothing of ours is left there.
    pub(super) fn after(&self, change: &Change) -> Option<Known> {
        if change.data.is_empty() {
            return None;
        }
        let mark = Mark {
            owner: self.owner.clone(),
            ttl: self.ttl,
            data: change.data.clone(),
        };
        let text = mark.text();
        Some(Known {
            mark,
            text,
            missing: BTreeSet::new(),
            is_listed: true,
        })
    }

    /// A question about a name of the zone.
    pub(super) fn question(id: u16, name: &Name, kind: RecordType) -> Message {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name.clone(), kind));
        message
    }

    /// The message that makes the changes, all or none. It asks that each name be as we know it: with just this mark
    /// of ours, or not in use at all.
    pub(super) fn message(&self, id: u16, changes: &[Change]) -> Message {
        let mut message = Message::new(id, MessageType::Query, OpCode::Update);
        message.add_query(Query::query(self.zone.clone(), RecordType::SOA));
        for change in changes {
            let place = mark::place(&change.name);
            let (Some(place), Some(index)) = (place, self.index()) else {
                // A name without a place for its mark is never wanted.
                continue;
            };
            self.require(change, &place, &mut message.answers);
            self.apply(change, &place, &index, &mut message.authorities);
        }
        message
    }

    fn require(&self, change: &Change, place: &Name, prerequisites: &mut Vec<Record>) {
        if let Some(known) = &change.known {
            let data = RData::TXT(known.text.clone());
            prerequisites.push(Record::from_rdata(place.clone(), 0, data));
            return;
        }
        let mut unused = Record::update0(change.name.clone(), 0, RecordType::ANY);
        unused.dns_class = DNSClass::NONE;
        let mut unmarked = Record::update0(place.clone(), 0, RecordType::TXT);
        unmarked.dns_class = DNSClass::NONE;
        prerequisites.extend([unused, unmarked]);
    }

    fn apply(&self, change: &Change, place: &Name, index: &Name, updates: &mut Vec<Record>) {
        let after = self.after(change);
        let add = |name: &Name, ttl, data| Record::from_rdata(name.clone(), ttl, data);
        let remove = |name: &Name, data| {
            let mut record = Record::from_rdata(name.clone(), 0, data);
            record.dns_class = DNSClass::NONE;
            record
        };
        let none = BTreeSet::new();
        let known = change.known.as_ref();
        let before = known.map_or(&none, |known| &known.mark.data);
        let missing = known.map_or(&none, |known| &known.missing);
        // Records of one name and kind must share their TTL: with another TTL all are made anew.
        let is_anew = known.is_some_and(|known| known.mark.ttl != self.ttl);
        let is_there = |datum: &Datum| before.contains(datum) && !missing.contains(datum);
        for datum in before
            .iter()
            .filter(|datum| is_anew || !change.data.contains(datum))
        {
            updates.push(remove(&change.name, datum.data()));
        }
        for datum in change
            .data
            .iter()
            .filter(|datum| is_anew || !is_there(datum))
        {
            updates.push(add(&change.name, self.ttl, datum.data()));
        }
        if let Some(known) = known {
            updates.push(remove(place, RData::TXT(known.text.clone())));
        }
        let listed = RData::PTR(PTR(change.name.clone()));
        match after {
            Some(after) => {
                updates.push(add(place, 0, RData::TXT(after.text)));
                if known.is_none_or(|known| !known.is_listed) {
                    updates.push(add(index, 0, listed));
                }
            }
            None => updates.push(remove(index, listed)),
        }
    }
}

/// The changes in groups that a message can hold.
pub(super) fn batches(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut batches: Vec<Vec<Change>> = Vec::new();
    let mut records = 0;
    for change in changes {
        records += change.records();
        match batches.last_mut() {
            Some(batch) if batch.len() < NAMES_PER_MESSAGE && records <= RECORDS_PER_MESSAGE => {
                batch.push(change);
            }
            _ => {
                records = change.records();
                batches.push(vec![change]);
            }
        }
    }
    batches
}
