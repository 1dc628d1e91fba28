//! [pure] Definitions that expressions may call: jaq's, with ours in place of the boundless ones.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jaq_core::load::parse::{Def, Term};

use super::analysis;

const OURS: &str = include_str!("prelude.jq");

/// Definitions of jaq that would end the process, write, or are not wanted.
const REFUSED: [&str; 6] = ["halt", "halt_error", "debug", "stderr", "env", "input"];

struct Known {
    def: Def<&'static str>,
    calls: BTreeSet<&'static str>,
}

/// In order: a definition calls only itself and those before it.
static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let parsed = jaq_core::load::parse(OURS, |parser| parser.defs());
    let mut ours = parsed.expect("our own definitions are well formed, as tests show");
    let theirs = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let (early, late) = ours.into_iter().partition(|def| EARLY.contains(&def.name));
    let mut all: Vec<Def<&'static str>> = early;
    ours = late;
    for def in theirs.filter(|def| !REFUSED.contains(&def.name)) {
        let same = |other: &Def<&str>| other.name == def.name && other.args.len() == def.args.len();
        // Ours stands at the place of the one that it replaces, as later ones call it.
        match ours.iter().position(same) {
            Some(index) if !LATE.contains(&def.name) => all.push(ours.remove(index)),
            Some(_) => {}
            None => all.push(def),
        }
    }
    all.extend(ours);
    let known = |def| Known {
        calls: analysis::calls(&def),
        def,
    };
    all.into_iter().map(known).collect()
});

/// Ours that definitions of jaq call, where jaq has functions.
const EARLY: [&str; 3] = ["matches", "split_matches", "split_"];

/// Ours that call definitions which come after the place of what they replace.
const LATE: [&str; 2] = ["join", "paths"];

/// The definitions that are needed to call the given names.
pub(crate) fn needed(calls: &BTreeSet<&str>) -> Vec<Def<&'static str, Term<&'static str>>> {
    let mut wanted: BTreeSet<&str> = calls.clone();
    // What the compiler itself calls for syntax.
    wanted.extend(ALWAYS);
    let mut chosen = vec![false; ALL.len()];
    for (index, known) in ALL.iter().enumerate().rev() {
        if wanted.contains(known.def.name) {
            wanted.extend(&known.calls);
            if let Some(place) = chosen.get_mut(index) {
                *place = true;
            }
        }
    }
    let chosen = ALL.iter().zip(chosen).filter(|(_, chosen)| *chosen);
    chosen.map(|(known, _)| known.def.clone()).collect()
}

const ALWAYS: [&str; 6] = ["empty", "error", "not", "tostring", "true", "false"];

/// Names that may be called: for "did you mean".
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|known| known.def.name)
}
