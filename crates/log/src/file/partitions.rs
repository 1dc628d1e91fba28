//! [pure] What is kept for each partition of a stripe, found with one look for every batch that is written.

use hashbrown::HashTable;

use crate::PartitionId;

/// A value for each partition. Its order is nothing to rely on: whoever needs one sorts.
pub(super) struct Partitions<T> {
    rows: HashTable<(PartitionId, T)>,
}

impl<T> Default for Partitions<T> {
    fn default() -> Self {
        let rows = HashTable::new();
        Self { rows }
    }
}

impl<T> Partitions<T> {
    pub(super) fn get(&self, partition: PartitionId) -> Option<&T> {
        let row = self.rows.find(hash(partition), |row| row.0 == partition);
        row.map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PartitionId, &T)> {
        self.rows
            .iter()
            .map(|(partition, value)| (*partition, value))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().map(|(_, value)| value)
    }
}

impl<T: Default> Partitions<T> {
    /// The partition's value, a new one when there is none.
    pub(super) fn of(&mut self, partition: PartitionId) -> &mut T {
        let is_it = |row: &(PartitionId, T)| row.0 == partition;
        let entry = self.rows.entry(hash(partition), is_it, |row| hash(row.0));
        let entry = entry.or_insert_with(|| (partition, T::default()));
        &mut entry.into_mut().1
    }
}

/// Partitions are numbered by us, mostly one after the other: spreading them is enough.
fn hash(partition: PartitionId) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    u64::from(partition.0).wrapping_mul(ODD).rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_a_value_of_its_own() {
        let mut partitions = Partitions::<u32>::default();
        for n in (0..4_096).chain([u32::MAX]) {
            *partitions.of(PartitionId(n)) = n;
        }
        for value in partitions.values_mut() {
            *value ^= 1;
        }
        for n in (0..4_096).chain([u32::MAX]) {
            assert_eq!(partitions.get(PartitionId(n)), Some(&(n ^ 1)));
        }
        assert_eq!(partitions.get(PartitionId(4_096)), None);
        assert_eq!(partitions.iter().count(), 4_097);
    }
}
