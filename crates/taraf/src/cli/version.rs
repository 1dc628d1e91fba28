//! `taraf version`: which program this is.

use serde_json::json;

use super::failure::{Exit, Failure};
use super::output::Output;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: Option<&str> = option_env!("TARAF_COMMIT");
const TARGET: &str = env!("TARAF_TARGET");

pub(crate) fn run(output: &Output) -> Result<Exit, Failure> {
    if output.is_structured() {
        let version = json!({ "version": VERSION, "commit": COMMIT, "target": TARGET });
        output.one(&version, &[])?;
        return Ok(Exit::Done);
    }
    let commit = COMMIT
        .map(|commit| format!("{commit}, "))
        .unwrap_or_default();
    output.line(&format!("taraf {VERSION} ({commit}{TARGET})"))?;
    Ok(Exit::Done)
}
