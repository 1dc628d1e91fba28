//! `taraf dev`: everything in one process, with recorded data and live reloading.

use std::path::PathBuf;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The project that is watched.
    pub dir: PathBuf,
    /// A folder, or `:memory:` to keep nothing; `DIR/.taraf` where it is absent.
    pub data: Option<String>,
    /// The first of the consecutive ports that the listeners take.
    pub ports: Option<u16>,
}

/// Runs until a signal ends it.
pub async fn run(_options: Options) -> anyhow::Result<()> {
    todo!()
}
