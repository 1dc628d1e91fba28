//! The limits of the file log.

use serde::Deserialize;

/// The most bytes of frames in one batch.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// How the file log lays out its files.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes of one segment. Written full of zeros before use.
    pub segment_bytes: u64,
    /// Files (and threads) written at once; partitions are spread over them. Fixed when the data
    /// directory is created; later values are ignored.
    pub stripes: u32,
    /// Bytes that a writer gathers for one write.
    pub write_bytes_max: usize,
    /// Batches that may wait for a writer; further ones wait with their sender.
    pub queue_max: usize,
    /// Bytes held back in a file that is given up when the disk is full, so that what runs can end.
    /// 0 holds nothing back.
    pub ballast_bytes: u64,
    /// With fewer bytes free, new runs are refused.
    pub space_low_bytes: u64,
    /// With fewer bytes free, timers that begin work wait too.
    pub space_full_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            stripes: 2,
            write_bytes_max: 1 << 20,
            queue_max: 1_024,
            ballast_bytes: 64 << 20,
            space_low_bytes: 256 << 20,
            space_full_bytes: 128 << 20,
        }
    }
}

/// Smaller segments could not hold a header with many partitions and a batch.
pub(super) const SEGMENT_BYTES_MIN: u64 = 4 << 10;
