//! Start and stop of a node, in order.

use std::path::Path;

/// Runs the production server described by the file until a signal ends it.
pub async fn serve(_config: &Path) -> anyhow::Result<()> {
    todo!()
}
