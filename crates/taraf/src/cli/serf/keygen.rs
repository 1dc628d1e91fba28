//! `keygen`: a new gossip key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::command::{Done, Spec, say};

const KEY_BYTES: usize = 32;

pub(super) const SPEC: Spec = Spec {
    name: "keygen",
    synopsis: "Make a new encryption key",
    usage: "",
    about: "\nPrints a new key, in the form in which an agent takes it, for the encryption of gossip.",
    flags: &[],
};

pub(super) fn run() -> Done {
    say(&STANDARD.encode(taraf_base::random_bytes::<KEY_BYTES>()))
}
