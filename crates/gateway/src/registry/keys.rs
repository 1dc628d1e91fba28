//! [pure] The machine's keys: rows, the way from an id to one of them, and what few keys have.

use std::collections::BTreeMap;

use hashbrown::HashTable;

use super::rows::{Number, Row, Rows};
use super::{KeyHash, KeyId};

/// All keys.
///
/// Invariant: `by_id` has exactly the rows that are in use; `used` has a place for each row; `labels`
/// has only such, and no empty ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    pub(super) rows: Rows,
    by_id: HashTable<Number>,
    /// The last day of use by row; 0 for none.
    used: Vec<u32>,
    labels: BTreeMap<Number, Box<str>>,
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Makes room for so many keys more.
    pub(super) fn reserve(&mut self, keys: usize) {
        self.rows.reserve(keys);
        self.used.reserve_exact(keys);
        let rows = &self.rows;
        self.by_id.reserve(keys, |number| row_place(rows, *number));
    }

    pub(super) fn number(&self, id: KeyId) -> Option<Number> {
        let is_same = |number: &Number| self.rows.row(*number).is_some_and(|row| row.id() == id);
        self.by_id.find(place(id), is_same).copied()
    }

    pub(super) fn by_hash(&self, hash: &KeyHash) -> Option<Number> {
        self.rows.find(hash)
    }

    pub(super) fn insert(&mut self, row: Row, label: &str) -> Number {
        let number = self.rows.insert(row);
        let rows = &self.rows;
        self.by_id
            .insert_unique(place(row.id()), number, |other| row_place(rows, *other));
        if self.used.len() <= at(number) {
            self.used.resize(at(number) + 1, 0);
        }
        self.label(number, label);
        number
    }

    pub(super) fn label(&mut self, number: Number, label: &str) {
        if label.is_empty() {
            self.labels.remove(&number);
        } else {
            self.labels.insert(number, label.into());
        }
    }

    pub(super) fn label_of(&self, number: Number) -> &str {
        self.labels.get(&number).map_or("", |label| label)
    }

    pub(super) fn use_on(&mut self, number: Number, day: u32) {
        if let Some(used) = self.used.get_mut(at(number)) {
            *used = day;
        }
    }

    pub(super) fn used(&self, number: Number) -> Option<u32> {
        let day = self.used.get(at(number)).copied();
        day.filter(|day| *day > 0)
    }

    pub(super) fn remove(&mut self, number: Number) {
        let Some(id) = self.rows.row(number).map(Row::id) else {
            return;
        };
        if let Ok(entry) = self.by_id.find_entry(place(id), |other| *other == number) {
            entry.remove();
        }
        self.labels.remove(&number);
        self.use_on(number, 0);
        self.rows.remove(number);
    }

    /// The numbers of all keys, in the order of their ids.
    pub(super) fn by_id(&self) -> Vec<Number> {
        let mut numbers: Vec<_> = self.by_id.iter().copied().collect();
        numbers.sort_unstable_by_key(|number| self.rows.row(*number).map(Row::id));
        numbers
    }
}

fn at(number: Number) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn row_place(rows: &Rows, number: Number) -> u64 {
    rows.row(number).map_or(0, |row| place(row.id()))
}

/// Ids are drawn at random; those of tests are small numbers, which the multiplication spreads.
fn place(id: KeyId) -> u64 {
    let folded = id.get() ^ (id.get() >> 64);
    let bytes = folded.to_le_bytes();
    let mut low = [0; 8];
    low.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(low).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use taraf_base::Timestamp;

    use super::*;

    /// What a key is, without rows and tables.
    #[derive(Clone, Debug, PartialEq)]
    struct Naive {
        hash: KeyHash,
        created: Timestamp,
        line: KeyId,
        ends: Option<Timestamp>,
        label: String,
        used: Option<u32>,
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert,
        Remove(prop::sample::Index),
        Line(prop::sample::Index, prop::sample::Index),
        End(prop::sample::Index, i64),
        Label(prop::sample::Index, String),
        Use(prop::sample::Index, u32),
        Copy,
        Share,
    }

    fn change() -> impl Strategy<Value = Change> {
        let key = any::<prop::sample::Index>;
        prop_oneof![
            12 => Just(Change::Insert),
            3 => key().prop_map(Change::Remove),
            2 => (key(), key()).prop_map(|(of, line)| Change::Line(of, line)),
            2 => (key(), any::<i64>()).prop_map(|(of, at)| Change::End(of, at)),
            2 => (key(), "[a-c]{0,3}").prop_map(|(of, label)| Change::Label(of, label)),
            2 => (key(), 1_u32..9).prop_map(|(of, day)| Change::Use(of, day)),
            1 => Just(Change::Copy),
            1 => Just(Change::Share),
        ]
    }

    /// Hashes that begin alike, so that the tables have to compare.
    fn hash(n: u32) -> KeyHash {
        let mut hash = [0; 32];
        let place = u64::from(n % 1_000).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash[..8].copy_from_slice(&place.to_le_bytes());
        hash[28..].copy_from_slice(&n.to_be_bytes());
        KeyHash(hash)
    }

    fn seen(keys: &Keys) -> BTreeMap<KeyId, Naive> {
        let one = |number: Number| {
            let row = keys.rows.row(number).unwrap();
            assert_eq!(keys.number(row.id()), Some(number));
            assert_eq!(keys.by_hash(&row.hash), Some(number));
            let naive = Naive {
                hash: row.hash,
                created: row.created(),
                line: keys.rows.line(row.id()),
                ends: keys.rows.ends(row.id()),
                label: keys.label_of(number).to_owned(),
                used: keys.used(number),
            };
            (row.id(), naive)
        };
        keys.by_id().into_iter().map(one).collect()
    }

    fn step(keys: &mut Keys, naive: &mut BTreeMap<KeyId, Naive>, n: u32, change: &Change) {
        let pick = |index: &prop::sample::Index| {
            (!naive.is_empty()).then(|| *naive.keys().nth(index.index(naive.len())).unwrap())
        };
        match change {
            Change::Insert => {
                let (id, created) = (KeyId::new(n.into()), Timestamp::from_millis(n.into()));
                keys.insert(Row::new(id, hash(n), created), "");
                let key = Naive {
                    hash: hash(n),
                    created,
                    line: id,
                    ends: None,
                    label: String::new(),
                    used: None,
                };
                naive.insert(id, key);
            }
            Change::Remove(of) => {
                if let Some(id) = pick(of) {
                    let gone = naive.remove(&id).unwrap();
                    keys.remove(keys.number(id).unwrap());
                    assert_eq!(keys.number(id), None);
                    assert_eq!(keys.by_hash(&gone.hash), None);
                }
            }
            Change::Line(of, line) => {
                if let (Some(id), Some(line)) = (pick(of), pick(line))
                    && id != line
                {
                    keys.rows.set_line(id, line);
                    naive.get_mut(&id).unwrap().line = line;
                }
            }
            Change::End(of, at) => {
                if let Some(id) = pick(of) {
                    let at = Timestamp::from_millis(*at);
                    keys.rows.end(id, at);
                    naive.get_mut(&id).unwrap().ends = Some(at);
                }
            }
            Change::Label(of, label) => {
                if let Some(id) = pick(of) {
                    keys.label(keys.number(id).unwrap(), label);
                    naive.get_mut(&id).unwrap().label.clone_from(label);
                }
            }
            Change::Use(of, day) => {
                if let Some(id) = pick(of) {
                    keys.use_on(keys.number(id).unwrap(), *day);
                    naive.get_mut(&id).unwrap().used = Some(*day);
                }
            }
            Change::Copy | Change::Share => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// A copy is taken now and then and stays as it was, whatever is changed and shared after it.
        #[test]
        fn rows_are_what_a_naive_map_is(changes in prop::collection::vec(change(), 1..400)) {
            let (mut keys, mut naive) = (Keys::default(), BTreeMap::new());
            // Full chunks, so that there is something to share.
            for n in 0..2_100 {
                step(&mut keys, &mut naive, n, &Change::Insert);
            }
            let mut copy = (keys.clone(), naive.clone());
            for (n, change) in (10_000..).zip(&changes) {
                match change {
                    Change::Copy => copy = (keys.clone(), naive.clone()),
                    Change::Share => {
                        keys.rows.share(&copy.0.rows.chunks());
                    }
                    _ => step(&mut keys, &mut naive, n, change),
                }
            }
            prop_assert_eq!(seen(&keys), naive);
            prop_assert_eq!(seen(&copy.0), copy.1);
        }
    }
}
