//! The thread of a stripe: takes what waits, has it written at once, answers.

use tokio::sync::{mpsc, oneshot};

use super::spare::Preparer;
use super::writer::Writer;
use crate::{Batch, BatchId, Epoch, Error, PartitionId, Resolution};

/// What a writer is asked to do.
pub(super) enum Request {
    Append {
        partition: PartitionId,
        batch: Batch,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Claim {
        partition: PartitionId,
        observed: Epoch,
        reply: oneshot::Sender<Result<Epoch, Error>>,
    },
    Resolve {
        partition: PartitionId,
        id: BatchId,
        reply: oneshot::Sender<Result<Resolution, Error>>,
    },
    Stop,
}

/// Who is told when the frames gathered are durable.
pub(super) enum Reply {
    Append(oneshot::Sender<Result<(), Error>>),
    Claim(Epoch, oneshot::Sender<Result<Epoch, Error>>),
}

/// Works until asked to stop or until nobody is left who could ask for anything.
pub(super) fn run(mut writer: Writer<Preparer, Reply>, mut inbox: mpsc::Receiver<Request>) {
    while let Some(request) = inbox.blocking_recv() {
        let mut request = Some(request);
        while let Some(next) = request.take() {
            if matches!(next, Request::Stop) {
                inbox.close();
            } else {
                handle(&mut writer, next);
            }
            if !writer.is_full() {
                request = inbox.try_recv().ok();
            }
        }
        writer.flush();
        tell(&mut writer);
    }
}

fn handle(writer: &mut Writer<Preparer, Reply>, request: Request) {
    // A caller that went away needs no answer, here and below.
    match request {
        Request::Append {
            partition,
            batch,
            reply,
        } => match writer.append(partition, batch) {
            Ok(()) => writer.when_durable(Reply::Append(reply)),
            Err(error) => drop(reply.send(Err(error))),
        },
        Request::Claim {
            partition,
            observed,
            reply,
        } => match writer.claim(partition, observed) {
            Ok(epoch) => writer.when_durable(Reply::Claim(epoch, reply)),
            Err(error) => drop(reply.send(Err(error))),
        },
        Request::Resolve {
            partition,
            id,
            reply,
        } => drop(reply.send(writer.resolve(partition, id))),
        Request::Stop => {}
    }
    tell(writer);
}

fn tell(writer: &mut Writer<Preparer, Reply>) {
    for (reply, result) in writer.told() {
        match reply {
            Reply::Append(reply) => drop(reply.send(result)),
            Reply::Claim(epoch, reply) => drop(reply.send(match result {
                // A claim that a restart finds after all costs its epoch and nothing else.
                Err(Error::Ambiguous) => Err(Error::Full),
                result => result.map(|()| epoch),
            })),
        }
    }
}
