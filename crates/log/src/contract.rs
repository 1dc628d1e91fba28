//! One test suite that every backend must pass: the promises of [`Log`] and [`Term`], one by one.
//!
//! A backend's tests call [`check_all`] with a way to make an empty log and to restart it.
#![doc(hidden)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use bytes::Bytes;
use taraf_base::Timestamp;

use crate::record::{self, Header, Record};
use crate::{Batch, BatchId, Epoch, Error, Log, PartitionId, Position, Resolution, Term, snapshot};

const P: PartitionId = PartitionId(16);
const OTHER: PartitionId = PartitionId(17);
const NEIGHBOUR: PartitionId = PartitionId(18);
const LARGE: PartitionId = PartitionId(19);
const READ_BYTES: usize = 1 << 20;
/// What a frame has before its header.
const PREFIX_BYTES: usize = 8;

/// Makes logs for the suite.
pub trait Backend {
    /// The backend under test.
    type Log: Log;
    /// An empty log.
    fn fresh(&mut self) -> impl Future<Output = Self::Log>;
    /// The same log after its process has ended and started again.
    fn restart(&mut self, log: Self::Log) -> impl Future<Output = Self::Log>;
}

/// A batch of `count` records with bodies of `body` bytes, marked by `mark`.
#[must_use]
pub fn batch(prev: BatchId, id: BatchId, first: Position, count: u32, body: usize) -> Batch {
    let mut body = vec![0; body];
    let mut frames =
        Vec::with_capacity(count as usize * (body.len() + record::HEADER_BYTES + PREFIX_BYTES));
    for n in 0..u64::from(count) {
        let mark = u8::try_from((first.0 + n + id.epoch.0 * 31) % 251).unwrap();
        body.fill(mark);
        let record = Record {
            position: first.plus(n),
            time: Timestamp::from_millis(1_000),
            header: Header {
                kind: 1,
                version: 1,
                subject: u128::from(id.n),
            },
            body: &body,
        };
        record::encode(&record, &mut frames);
    }
    Batch {
        prev,
        id,
        first,
        count,
        frames: Bytes::from(frames),
    }
}

/// A term that keeps track of its chain.
pub struct Writer<T> {
    /// The term.
    pub term: T,
    /// The batch that the next one follows.
    pub last: BatchId,
    /// The last record.
    pub tail: Position,
}

impl<T: Term> Writer<T> {
    /// Claims the partition after what it shows.
    pub async fn claim<L: Log<Term = T>>(log: &L, partition: PartitionId) -> Self {
        let (_, seen) = log.tail(partition).await.unwrap();
        let term = log.claim(partition, seen.epoch).await.unwrap();
        let (tail, last) = log.tail(partition).await.unwrap();
        assert_eq!(
            last,
            BatchId::claim(term.epoch()),
            "a claim stands in the chain"
        );
        Self { term, last, tail }
    }

    /// The next batch.
    #[must_use]
    pub fn next(&self, count: u32, body: usize) -> Batch {
        batch(self.last, self.last.next(), self.tail.next(), count, body)
    }

    /// Appends the next batch and remembers it if it was stored.
    ///
    /// # Errors
    /// As the log answers.
    pub async fn append(&mut self, count: u32, body: usize) -> Result<Batch, Error> {
        let batch = self.next(count, body);
        self.term.append(batch.clone()).await?;
        (self.last, self.tail) = (batch.id, batch.last());
        Ok(batch)
    }
}

/// Reads everything from `from` on.
pub async fn read_all<L: Log>(log: &L, partition: PartitionId, from: Position) -> Vec<Batch> {
    let (mut all, mut next) = (Vec::new(), from);
    loop {
        let chunk = log.read(partition, next, READ_BYTES).await.unwrap();
        let Some(last) = chunk.batches.last() else {
            return all;
        };
        next = last.last().next();
        all.extend(chunk.batches);
    }
}

/// Runs the whole suite.
pub async fn check_all<B: Backend>(backend: &mut B) {
    appended_batches_are_read_whole_and_in_order(backend).await;
    a_replaced_leader_loses_all_it_has_in_flight(backend).await;
    a_claim_needs_the_newest_epoch(backend).await;
    a_claim_outlives_a_restart(backend).await;
    a_batch_that_does_not_follow_is_refused(backend).await;
    a_batch_above_the_limit_is_refused_whole(backend).await;
    partitions_do_not_disturb_each_other(backend).await;
    a_fate_is_resolved(backend).await;
    trimming_keeps_the_tail(backend).await;
    snapshots_are_kept_and_found(backend).await;
    everything_outlives_a_restart(backend).await;
}

async fn appended_batches_are_read_whole_and_in_order<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    assert_eq!(
        log.tail(P).await.unwrap(),
        (Position::ZERO, BatchId::GENESIS)
    );
    assert!(
        log.read(P, Position::FIRST, 1)
            .await
            .unwrap()
            .batches
            .is_empty()
    );
    let mut writer = Writer::claim(&log, P).await;
    let mut written = Vec::new();
    for count in [1, 3, 2, 7] {
        written.push(writer.append(count, 10).await.unwrap());
        let tail = log.tail(P).await.unwrap();
        assert_eq!(
            tail,
            (writer.tail, writer.last),
            "the tail shows what was acknowledged"
        );
    }
    assert_eq!(writer.tail, Position(13), "positions are dense");
    assert_eq!(read_all(&log, P, Position::FIRST).await, written);
    // A position within a batch brings the whole batch; a small limit brings one.
    let chunk = log.read(P, Position(3), 1).await.unwrap();
    assert_eq!(chunk.batches, written[1..2]);
    assert!(
        log.read(P, Position(14), 1)
            .await
            .unwrap()
            .batches
            .is_empty()
    );
    assert!(
        log.read(P, Position::MAX, 1)
            .await
            .unwrap()
            .batches
            .is_empty()
    );
}

/// By position the second and third batch of the old leader would fit: the chain refuses them.
async fn a_replaced_leader_loses_all_it_has_in_flight<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    let mut old = Writer::claim(&log, P).await;
    old.append(4, 8).await.unwrap();
    let mut in_flight = Vec::new();
    for _ in 0..3 {
        let batch = old.next(4, 8);
        (old.last, old.tail) = (batch.id, batch.last());
        in_flight.push(batch);
    }
    let mut new = Writer::claim(&log, P).await;
    new.append(4, 8).await.unwrap();
    for batch in &in_flight {
        match old.term.append(batch.clone()).await {
            Err(Error::Fenced { by, tail }) => {
                assert_eq!((by, tail), (new.term.epoch(), new.tail));
            }
            other => panic!("a zombie's batch was answered {other:?}"),
        }
        let resolution = old.term.resolve(&batch.id).await.unwrap();
        assert_eq!(resolution, Resolution::Fenced);
    }
    new.append(1, 8).await.unwrap();
    let all = read_all(&log, P, Position::FIRST).await;
    let epochs: Vec<u64> = all.iter().map(|batch| batch.id.epoch.0).collect();
    assert_eq!(epochs, [1, 2, 2]);
    assert_eq!(all.last().unwrap().last(), Position(9));
}

async fn a_claim_needs_the_newest_epoch<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    let first = log.claim(P, Epoch(0)).await.unwrap();
    assert_eq!(first.epoch(), Epoch(1));
    match log.claim(P, Epoch(0)).await.map(|term| term.epoch()) {
        Err(Error::Fenced { by, .. }) => assert_eq!(by, Epoch(1)),
        other => panic!("a stale claim was answered {other:?}"),
    }
    let mut second = Writer::claim(&log, P).await;
    assert_eq!(second.term.epoch(), Epoch(2));
    second.append(1, 1).await.unwrap();
    // What was observed may be ahead of what the log has seen.
    let ahead = log.claim(P, Epoch(10)).await.unwrap();
    assert_eq!(ahead.epoch(), Epoch(11));
    assert!(matches!(
        second.append(1, 1).await,
        Err(Error::Fenced { .. })
    ));
}

async fn a_claim_outlives_a_restart<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    drop(log.claim(P, Epoch(6)).await.unwrap());
    let log = backend.restart(log).await;
    assert_eq!(
        log.tail(P).await.unwrap(),
        (Position::ZERO, BatchId::claim(Epoch(7)))
    );
    assert!(matches!(
        log.claim(P, Epoch(6)).await,
        Err(Error::Fenced { .. })
    ));
}

async fn a_batch_that_does_not_follow_is_refused<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    let mut writer = Writer::claim(&log, P).await;
    writer.append(2, 4).await.unwrap();
    let good = writer.next(1, 4);
    let hole = batch(good.prev, good.id, good.first.next(), 1, 4);
    assert!(matches!(
        writer.term.append(hole).await,
        Err(Error::Misplaced { .. })
    ));
    let unlinked = batch(good.id, good.id.next(), good.first, 1, 4);
    assert!(matches!(
        writer.term.append(unlinked).await,
        Err(Error::Misplaced { .. })
    ));
    let foreign = BatchId {
        epoch: Epoch(9),
        n: 1,
    };
    let foreign = batch(good.prev, foreign, good.first, 1, 4);
    assert!(matches!(
        writer.term.append(foreign).await,
        Err(Error::Malformed(_))
    ));
    let empty = batch(good.prev, good.id, good.first, 0, 4);
    assert!(matches!(
        writer.term.append(empty).await,
        Err(Error::Malformed(_))
    ));
    writer.term.append(good.clone()).await.unwrap();
    // The same batch again: it is there already and must not be there twice.
    assert!(matches!(
        writer.term.append(good).await,
        Err(Error::Misplaced { .. })
    ));
    assert_eq!(log.tail(P).await.unwrap().0, Position(3));
}

async fn a_batch_above_the_limit_is_refused_whole<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    let max = log.limits().batch_bytes_max;
    let mut writer = Writer::claim(&log, P).await;
    match writer.append(2, max / 2).await {
        Err(Error::TooLarge { max: told }) => assert_eq!(told, max),
        other => panic!("a batch above the limit was answered {other:?}"),
    }
    assert_eq!(log.tail(P).await.unwrap().0, Position::ZERO);
    let large = writer.append(1, max - record::HEADER_BYTES).await.unwrap();
    assert_eq!(large.frames.len(), max);
    writer.append(1, 1).await.unwrap();
    assert_eq!(
        log.read(P, Position::FIRST, 1).await.unwrap().batches,
        [large]
    );
}

async fn partitions_do_not_disturb_each_other<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    let mut all = Vec::new();
    for partition in [P, OTHER, NEIGHBOUR] {
        all.push((partition, Writer::claim(&log, partition).await, Vec::new()));
    }
    for round in 0..20 {
        for (_, writer, written) in &mut all {
            written.push(writer.append(1 + round % 3, 30).await.unwrap());
        }
    }
    for (partition, _, written) in &all {
        assert_eq!(&read_all(&log, *partition, Position::FIRST).await, written);
    }
}

async fn a_fate_is_resolved<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    let mut writer = Writer::claim(&log, P).await;
    let stored = writer.append(2, 4).await.unwrap();
    let never = writer.next(1, 4);
    assert_eq!(
        writer.term.resolve(&stored.id).await.unwrap(),
        Resolution::Stored
    );
    assert_eq!(
        writer.term.resolve(&never.id).await.unwrap(),
        Resolution::NotStored
    );
    writer.append(1, 4).await.unwrap();
    let mut new = Writer::claim(&log, P).await;
    new.append(1, 4).await.unwrap();
    // What the old leader did store stays stored, although it is fenced by now.
    assert_eq!(
        writer.term.resolve(&never.id).await.unwrap(),
        Resolution::Stored
    );
}

async fn trimming_keeps_the_tail<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    let mut writer = Writer::claim(&log, P).await;
    for _ in 0..10 {
        writer.append(3, 100).await.unwrap();
    }
    let all = read_all(&log, P, Position::FIRST).await;
    log.trim(P, Position(11)).await.unwrap();
    assert_eq!(
        read_all(&log, P, Position(11)).await,
        all[3..],
        "the batch of 11 stays whole"
    );
    match log.read(P, Position::FIRST, 1).await {
        // A backend may keep more than it must.
        Ok(chunk) => assert_eq!(chunk.batches, all[..1]),
        Err(Error::Trimmed { first }) => assert!(first <= Position(11) && first > Position(1)),
        Err(other) => panic!("reading what was trimmed was answered {other:?}"),
    }
    log.trim(P, Position(31)).await.unwrap();
    log.trim(P, Position(5)).await.unwrap();
    assert_eq!(log.tail(P).await.unwrap(), (Position(30), writer.last));
    writer.append(1, 100).await.unwrap();
    let log = backend.restart(log).await;
    assert_eq!(log.tail(P).await.unwrap(), (Position(31), writer.last));
    let last = log.read(P, Position(31), 1).await.unwrap();
    assert_eq!(last.batches[0].last(), Position(31));
}

async fn snapshots_are_kept_and_found<B: Backend>(backend: &mut B) {
    let log = backend.fresh().await;
    assert_eq!(found(&log, P, u64::MAX).await, None);
    for at in [10, 20, 30] {
        let data = Bytes::from(vec![u8::try_from(at).unwrap(); 100]);
        log.put_snapshot(P, Position(at), data.into())
            .await
            .unwrap();
    }
    log.put_snapshot(OTHER, Position(5), Bytes::new().into())
        .await
        .unwrap();
    // Many pieces, of which some are larger than what is written at once.
    let pieces: Vec<Vec<u8>> = (0..50).map(|n| vec![n; usize::from(n) * 12_345]).collect();
    let large = pieces.concat();
    let data =
        snapshot::Data::new(move |to| pieces.iter().try_for_each(|piece| to.write_all(piece)));
    log.put_snapshot(LARGE, Position(7), data).await.unwrap();
    let broken = snapshot::Data::new(|to| {
        to.write_all(b"half of a ")?;
        Err(std::io::Error::other("no more"))
    });
    assert!(log.put_snapshot(LARGE, Position(8), broken).await.is_err());
    let log = backend.restart(log).await;
    let whole = found(&log, LARGE, u64::MAX).await;
    assert_eq!(whole, Some((Position(7), large.into())));
    let find = async |at| found(&log, P, at).await;
    assert_eq!(
        find(u64::MAX).await,
        Some((Position(30), vec![30; 100].into()))
    );
    assert_eq!(find(29).await, Some((Position(20), vec![20; 100].into())));
    assert_eq!(find(9).await, None);
    let other = found(&log, OTHER, u64::MAX).await;
    assert_eq!(other, Some((Position(5), Bytes::new())));
}

async fn found(log: &impl Log, of: PartitionId, at_most: u64) -> Option<(Position, Bytes)> {
    let (at, data) = log.get_snapshot(of, Position(at_most)).await.unwrap()?;
    Some((at, data.into_bytes().unwrap()))
}

async fn everything_outlives_a_restart<B: Backend>(backend: &mut B) {
    let mut log = backend.fresh().await;
    let mut written = Vec::new();
    for round in 0..4 {
        let mut writer = Writer::claim(&log, P).await;
        for _ in 0..5 {
            written.push(writer.append(1 + round, 50).await.unwrap());
        }
        drop(writer);
        log = backend.restart(log).await;
        assert_eq!(read_all(&log, P, Position::FIRST).await, written);
    }
    let writer = Writer::claim(&log, P).await;
    assert_eq!(writer.term.epoch(), Epoch(5));
}
