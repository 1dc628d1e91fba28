//! [pure] Names of runs and flows.

use std::fmt;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_log::PartitionId;

taraf_base::typed_id!(
    /// One run. The number holds its partition (16 bits), the time of its start in milliseconds
    /// (48 bits) and chance (64 bits), so that an id alone says where the run lives, and the ids of
    /// a partition sort by time.
    pub struct RunId, "run"
);

const TIME_BITS: u32 = 48;
const CHANCE_BITS: u32 = 64;

impl RunId {
    /// The id of a run that starts `at` in `partition`.
    #[must_use]
    pub fn compose(partition: PartitionId, at: Timestamp, chance: u64) -> Self {
        let millis =
            u128::from(u64::try_from(at.as_millis()).unwrap_or(0)) & ((1 << TIME_BITS) - 1);
        let partition = u128::from(partition.0 & 0xFFFF);
        Self::new(
            partition << (TIME_BITS + CHANCE_BITS) | millis << CHANCE_BITS | u128::from(chance),
        )
    }

    /// The partition that holds the run for life.
    #[must_use]
    pub fn partition(self) -> PartitionId {
        PartitionId(u32::try_from(self.get() >> (TIME_BITS + CHANCE_BITS)).unwrap_or(0))
    }

    /// The time of the run's start, as the clock was that made the id.
    #[must_use]
    pub fn began(self) -> Timestamp {
        let millis = (self.get() >> CHANCE_BITS) & ((1 << TIME_BITS) - 1);
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// Everything but the partition: ids of all partitions sort by time with it.
    #[must_use]
    pub fn within_partition(self) -> u128 {
        self.get() & ((1 << (TIME_BITS + CHANCE_BITS)) - 1)
    }

    /// The id with the same time and chance in another partition.
    pub(crate) fn moved_to(self, partition: PartitionId) -> Self {
        let partition = u128::from(partition.0 & 0xFFFF);
        Self::new(partition << (TIME_BITS + CHANCE_BITS) | self.within_partition())
    }
}

/// One version of a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlowId {
    /// Where the name is unique.
    pub namespace: String,
    /// What the flow is called.
    pub name: String,
    /// A full semantic version.
    pub version: String,
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.version)
    }
}

/// A flow as a caller names it: without a version, the highest is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlowRef {
    /// Where the name is unique.
    pub namespace: String,
    /// What the flow is called.
    pub name: String,
    /// The version; none for the highest.
    pub version: Option<String>,
}

impl fmt::Display for FlowRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        match &self.version {
            Some(version) => write!(f, "/{version}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_and_when_its_run_began() {
        let early = RunId::compose(PartitionId(17), Timestamp::from_millis(1_000), u64::MAX);
        let late = RunId::compose(PartitionId(17), Timestamp::from_millis(1_001), 0);
        assert_eq!(early.partition(), PartitionId(17));
        assert!(early < late);
        assert_eq!(late.began(), Timestamp::from_millis(1_001));
        let elsewhere = late.moved_to(PartitionId(16));
        assert_eq!(elsewhere.partition(), PartitionId(16));
        assert_eq!(elsewhere.within_partition(), late.within_partition());
    }
}
