//! The files of an agent, written in their order, away from the loop.

use std::sync::Arc;

use taraf_base::{Secret, Tasks};

use super::shared::Shared;
use super::{Error, Settings};
use crate::serf::QueryKey;
use crate::snapshot::{Effect, Snapshot};

/// Where effects on files go.
pub(super) struct Files {}

pub(super) fn open(
    _settings: &Settings,
    _tasks: &Tasks,
) -> Result<(Files, Option<Snapshot>), Error> {
    Ok((Files {}, None))
}

impl Files {
    pub(super) fn snapshot(&mut self, _effect: Effect) {}

    pub(super) fn keyring(
        &mut self,
        _shared: &Arc<Shared>,
        _query: QueryKey,
        _keys: Vec<Secret<Vec<u8>>>,
    ) {
    }
}
