//! [pure] The bugs that are planted on purpose, to know that the simulation would find them.

/// A bug, planted in front of the real code: in the disk beneath it, in the machine that it runs, or in
/// the driver around it. Nothing of it is in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// Every third sync of a segment does nothing.
    SkipSync,
    /// A batch is told to be durable when it is handed in.
    AcknowledgeBeforeSync,
    /// A batch is taken when its position fits, whoever wrote it.
    FenceByPosition,
    /// Actions are performed when they are decided.
    ReleaseEarly,
    /// Recovery takes what an earlier term wrote last for stale.
    FilterByEpoch,
    /// Segments that use a file again have the same salt.
    ReuseWithoutSalt,
    /// A sync that failed is asked for again.
    RetryFailedSync,
    /// An outcome of an older attempt is taken for the one that runs.
    AcceptLateOutcome,
    /// Timers of runs in a snapshot are not set again.
    LoseTimersAtSnapshot,
    /// After a crash an at-most-once call is made again.
    RepeatAtMostOnce,
    /// Idempotency keys are forgotten with a snapshot.
    DropKeysAtRestore,
    /// A damaged log is cut where it is damaged.
    CorruptionAsTornTail,
    /// A restart returns a block of every line's quota.
    QuotaGivenBack,
    /// A batch that found no space is told to be durable.
    ContinueAfterFull,
    /// Applying a record depends on how many were applied before.
    NondeterministicEvolve,
    /// What a fork's cancelled branches leave to do is not asked for.
    NoWakeAfterCancel,
    /// Replay counts attempts from one.
    RetryCounterReset,
    /// The log is trimmed before the snapshot is stored.
    TrimBeforeSnapshot,
    /// Replay sets the time of each record to that of the replay.
    TimeOfReplay,
    /// A revocation is answered and not recorded.
    RevocationNotRecorded,
    /// A record is appended before the payload that it names is stored.
    RecordBeforeBlob,
    /// A collection of payloads begins after it has asked which are named.
    CollectionBeginsLate,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::SkipSync,
        Self::AcknowledgeBeforeSync,
        Self::FenceByPosition,
        Self::ReleaseEarly,
        Self::FilterByEpoch,
        Self::ReuseWithoutSalt,
        Self::RetryFailedSync,
        Self::AcceptLateOutcome,
        Self::LoseTimersAtSnapshot,
        Self::RepeatAtMostOnce,
        Self::DropKeysAtRestore,
        Self::CorruptionAsTornTail,
        Self::QuotaGivenBack,
        Self::ContinueAfterFull,
        Self::NondeterministicEvolve,
        Self::NoWakeAfterCancel,
        Self::RetryCounterReset,
        Self::TrimBeforeSnapshot,
        Self::TimeOfReplay,
        Self::RevocationNotRecorded,
        Self::RecordBeforeBlob,
        Self::CollectionBeginsLate,
    ];

    /// Its name, as `--bug` takes it.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}
