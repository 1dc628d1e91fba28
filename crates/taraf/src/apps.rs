//! The shipped applications and those of a project: what they offer, where it is routed, what runs.

mod alone;
pub(crate) mod beside;
mod manifest;
mod manifests;
mod project;
mod publish;
mod services;
mod shipped;

pub(crate) use alone::{Alone, serve_one};
pub(crate) use manifest::{App, FlowSource};
pub(crate) use manifests::Manifests;
pub(crate) use project::{CONFIG_FILE, DOCUMENTS, FLOWS, Project, SERVICES};
pub(crate) use publish::{OnConflict, publish, publish_all};
pub(crate) use services::{Started, start};
pub(crate) use shipped::shipped;
