//! [pure] Which partition a new run goes to.

/// FNV-1a over the parts, the same on every machine and build.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes();
        for byte in length.iter().chain(*part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
    hash
}

/// The place of the partition for a start: the same key always meets the same partition, where the
/// run that it names is; without a key partitions take turns.
pub(crate) fn place(owner: Option<&str>, key: Option<&str>, turn: u64, partitions: usize) -> usize {
    let number = match key {
        Some(key) => hash(&[owner.unwrap_or_default().as_bytes(), key.as_bytes()]),
        None => turn,
    };
    let count = u64::try_from(partitions.max(1)).unwrap_or(1);
    usize::try_from(number % count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_always_meets_the_same_partition() {
        let at = |turn| place(Some("acc_1"), Some("order-7"), turn, 4);
        assert!((0..100).all(|turn| at(turn) == at(0)));
        let places: std::collections::BTreeSet<_> = (0..100)
            .map(|n| place(None, Some(&format!("k{n}")), 0, 4))
            .collect();
        assert_eq!(places.len(), 4);
    }

    #[test]
    fn without_a_key_partitions_take_turns() {
        let places: Vec<_> = (0..4).map(|turn| place(None, None, turn, 3)).collect();
        assert_eq!(places, [0, 1, 2, 0]);
    }
}
