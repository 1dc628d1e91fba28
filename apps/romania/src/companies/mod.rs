//! Companies: looked up at the tax office, searched by name, with their yearly balances.

mod anaf;
mod api;
mod balances;
mod cache;
mod index;
mod limiter;
mod lookup;
mod queue;
mod record;
mod search;
mod service;
mod store;

pub(crate) use service::start;

/// An answer of the tax office is an error, or about what was asked and nothing else.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    use crate::cui::Cui;
    let asked = [38_744_563, 990_000_013, 990_000_048].map(Cui::from_number);
    let asked: Vec<Cui> = asked.into_iter().flatten().collect();
    if let Ok(lookup) = anaf::read_lookup(bytes, &asked, "now") {
        let found = lookup.found.iter().map(|(cui, _)| cui);
        let mut answered: Vec<&Cui> = found.chain(&lookup.not_found).collect();
        assert!(answered.len() >= asked.len());
        answered.retain(|cui| !asked.contains(cui));
        assert!(answered.is_empty(), "{answered:?}");
        for (_, company) in &lookup.found {
            serde_json::to_string(company).expect("a company is written");
        }
    }
    for cui in asked {
        if let Ok(Some(balance)) = anaf::read_balance(bytes, cui, 2019, "now") {
            assert_eq!(balance.year, 2019);
        }
    }
}
