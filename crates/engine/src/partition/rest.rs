//! [pure] When runs rest, and where the bytes of those that do are kept.

use std::fmt;
use std::sync::Arc;

/// When runs rest, and where. Which runs do changes nothing that anybody can see.
#[derive(Clone, Debug)]
pub struct Rest {
    /// Runs that have not ended and are kept as values; beyond them, those longest untouched rest.
    pub awake_max: usize,
    /// Bytes that they may take, roughly; beyond them, too.
    pub awake_bytes_max: usize,
    /// Bytes of a resting run that stay in memory although there is an attic.
    pub here_bytes_max: usize,
    /// Where the others go; without one all stay in memory.
    pub attic: Option<Arc<dyn Attic>>,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            awake_max: 512,
            awake_bytes_max: 4 << 20,
            here_bytes_max: 64,
            attic: None,
        }
    }
}

impl Rest {
    /// The same for a second replay of the same runs.
    pub(super) fn another(&self) -> Self {
        Self {
            attic: self.attic.as_ref().and_then(|attic| attic.another()),
            ..self.clone()
        }
    }
}

/// Keeps bytes outside memory for this process. What survives a crash is in the log and in
/// snapshots, never here.
pub trait Attic: fmt::Debug + Send + Sync + 'static {
    /// Keeps the bytes; none when there is no room, and they stay in memory.
    fn put(&self, bytes: &[u8]) -> Option<Spot>;
    /// The bytes there; none when they cannot be read.
    fn get(&self, spot: Spot) -> Option<Vec<u8>>;
    /// The bytes there are not needed any more.
    fn free(&self, spot: Spot);
    /// An empty one of the same kind, for the same runs replayed a second time.
    fn another(&self) -> Option<Arc<dyn Attic>>;
}

/// Where bytes lie in an attic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The first byte.
    pub at: u64,
    /// How many.
    pub len: u32,
}
