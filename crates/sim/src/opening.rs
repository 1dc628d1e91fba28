//! How a process comes up: the log and the payloads are opened, partitions claimed and brought to their tails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use taraf_gateway::registry::Registry;
use taraf_log::backup::BLOBS;
use taraf_log::blob::{BlobId, BlobStore};
use taraf_log::file::direct::DirectLog;
use taraf_log::file::truncate_on;
use taraf_log::machine::Machine;
use taraf_log::machine::core::Core;
use taraf_log::machine::recovery::{Recovered, Recovery};
use taraf_log::{BatchId, Error, PartitionId, Position};

use crate::accounts::{KeySeat, Meters};
use crate::bug::Bug;
use crate::context::Context;
use crate::event::LeadId;
use crate::plan::KEYS;
use crate::planted::Strings;
use crate::process::{DIR, KEYS_LEAD, READ_BYTES};
use crate::seat::{Owner, Seat};

/// The oracle that the program itself is.
pub(crate) const CHECKPOINTS: &str = "the state is what its checkpoints say";

/// Why a process cannot go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It or its machine died.
    Dead,
    /// It met a fault of its disk and ends itself.
    Disk(String),
}

/// What of the log's answer is a fault of the simulation's own making.
pub(crate) fn trouble(context: &mut Context, doing: &str, error: &Error) -> Trouble {
    let told = match std::error::Error::source(error) {
        Some(source) => format!("{doing}: {error}: {source}"),
        None => format!("{doing}: {error}"),
    };
    if context.disk.is_dead() {
        return Trouble::Dead;
    }
    if matches!(error, Error::Diverged { .. }) {
        context.fail(CHECKPOINTS, &told);
    }
    let is_full = matches!(error, Error::Full)
        || matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull);
    if !is_full && !context.disk.has_failed() {
        context.fail("the log works while the disk does", &told);
    }
    Trouble::Disk(told)
}

pub(crate) fn open(context: &mut Context) -> Result<DirectLog<Option<LeadId>>, Trouble> {
    let config = context.plan.file.clone();
    let disk = context.disk.clone();
    let open = || DirectLog::open_on(Arc::new(disk.clone()), Path::new(DIR), config.clone());
    let mut opened = open();
    if let Err(Error::Corrupt { file, offset, .. }) = &opened {
        context.note(format_args!("damage in {} at {offset}", file.display()));
        if context.bug == Some(Bug::CorruptionAsTornTail) && *offset > 0 {
            // As an operator would who does not mind what is lost; it may fail, and then opening does.
            let cut = truncate_on(&disk, Path::new(DIR), file, *offset);
            context.note(format_args!("cut there: {cut:?}"));
            opened = open();
        } else if disk.restore() {
            opened = open();
        }
    }
    opened.map_err(|error| trouble(context, "opening the log", &error))
}

/// Every payload that a durable state names can be read.
pub(crate) fn check_payloads(
    context: &mut Context,
    store: &BlobStore,
    mut named: impl Iterator<Item = BlobId>,
) -> Result<(), Trouble> {
    let missing = named.find_map(|id| store.get_now(&id).err());
    match missing {
        Some(_) if context.disk.is_dead() => Err(Trouble::Dead),
        Some(error) => {
            context.fail("what a record names is kept", error);
            Ok(())
        }
        None => Ok(()),
    }
}

pub(crate) fn open_blobs(context: &mut Context) -> Result<BlobStore, Trouble> {
    let disk = Arc::new(context.disk.clone());
    BlobStore::open_on(disk, &Path::new(DIR).join(BLOBS)).map_err(|error| {
        if !context.disk.is_dead() {
            context.fail("payloads open while the disk works", &error);
        }
        Trouble::Dead
    })
}

/// Claims a partition and brings an empty machine to its tail, as `Replica::start` does.
pub(crate) fn recover<M: Machine>(
    context: &mut Context,
    log: &mut DirectLog<Option<LeadId>>,
    partition: PartitionId,
    machine: M,
    strings: &Strings,
) -> Result<(Recovered<M>, BatchId), Trouble> {
    let (_, seen) = log.tail(partition);
    let claimed = log.claim(partition, seen.epoch, None);
    let epoch = claimed.map_err(|error| trouble(context, "claiming", &error))?;
    let stripe = log.stripe_of(partition);
    log.flush(stripe);
    for (_, result) in log.told(stripe) {
        // As the thread of a stripe tells it.
        let result = result.map_err(|error| match error {
            Error::Ambiguous => Error::Full,
            error => error,
        });
        result.map_err(|error| trouble(context, "claiming", &error))?;
    }
    let claim = BatchId::claim(epoch);
    let (tail, _) = log.tail(partition);
    let mut recovery = Recovery::new(partition, machine, tail);
    let mut replay = || -> Result<(), Error> {
        if let Some((at, data)) = log.get_snapshot(partition, Position::MAX)? {
            recovery.restore(at, data)?;
        }
        while let Some(from) = recovery.next() {
            let chunk = log.read(partition, from, READ_BYTES)?;
            let is_stale = context.bug == Some(Bug::FilterByEpoch)
                && chunk.batches.iter().any(|batch| batch.last() == tail);
            strings.is_deaf.store(is_stale, Ordering::Relaxed);
            recovery.apply(&chunk)?;
            strings.is_deaf.store(false, Ordering::Relaxed);
        }
        Ok(())
    };
    let replayed = replay();
    replayed.map_err(|error| trouble(context, "recovering", &error))?;
    Ok((recovery.finish(), claim))
}

pub(crate) fn key_seat(
    context: &mut Context,
    log: &mut DirectLog<Option<LeadId>>,
    number: u64,
) -> Result<KeySeat, Trouble> {
    let strings = Strings::default();
    let (mut recovered, claim) = recover(context, log, KEYS, Registry::default(), &strings)?;
    let tail = recovered.position;
    let told = context
        .keys
        .compare(tail, |from, bytes| log.read(KEYS, from, bytes));
    if let Err(what) = told {
        if context.disk.is_dead() {
            return Err(Trouble::Dead);
        }
        context.fail("what is acknowledged stays", what);
    }
    let hash = recovered.machine.state_hash();
    let is_same = context.keys.check_hash("the accounts after recovery", hash);
    context.check("replay gives the same state", is_same);
    let owner = Owner {
        process: number,
        lead: KEYS_LEAD,
        partition: KEYS,
    };
    let snapshot = recovered.snapshot;
    let config = &context.plan.machine;
    let core = Core::new(KEYS, recovered, claim, config, log.limits());
    Ok(Seat::new(owner, core, Meters::default(), snapshot))
}
