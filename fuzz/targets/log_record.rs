//! Records of arbitrary bytes, their checksums made right: what is read is written the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use taraf_log::Position;
use taraf_log::record;

#[path = "../support/crc.rs"]
mod crc;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    // len u32, crc u32, then len bytes under the checksum.
    while let Some(covered) = crc::u32_at(&bytes, at).and_then(|length| {
        let length = usize::try_from(length).ok()?;
        bytes.get(at + 8..(at + 8).checked_add(length)?)
    }) {
        let (crc, length) = (crc::crc32c(covered), covered.len());
        bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        at += 8 + length;
    }
    let mut rest = bytes.as_slice();
    let mut count = 0;
    let mut first = None;
    while let Ok((read, behind)) = record::decode(rest) {
        let mut again = Vec::new();
        record::encode(&read, &mut again);
        assert_eq!(again, rest[..rest.len() - behind.len()], "{read:?}");
        first.get_or_insert(read.position);
        count += 1;
        rest = behind;
    }
    let first = first.unwrap_or(Position(1));
    if let Ok(all) = record::decode_all(&bytes, first, count) {
        assert!(
            all.iter()
                .zip(first.0..=u64::MAX)
                .all(|(record, at)| record.position.0 == at)
        );
    }
});
