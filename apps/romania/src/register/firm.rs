//! [pure] What the register says of one firm, and the same as bytes.

use serde::{Deserialize, Serialize};

use crate::county;
use crate::cui::Cui;

/// Code of the state "active".
const ACTIVE: u32 = 1048;
/// Code of the state "struck off".
const STRUCK_OFF: u32 = 1084;
/// States that a firm may be in beside `ACTIVE` while it is not: liquidation and insolvency.
const ENDING: [u32; 2] = [1052, 1139];

/// One firm. Written as an array: a member may be added at the end, none taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Firm {
    /// Fiscal code; valid when it was written.
    pub(crate) cui: u64,
    /// As it is published.
    pub(crate) name: String,
    /// In the trade register.
    pub(crate) number: String,
    /// Day of registration, ISO.
    pub(crate) registered: Option<String>,
    /// SRL, SA, …
    pub(crate) form: Option<String>,
    /// Number of the county in the trade register, 0 when it is not known.
    pub(crate) county: u8,
    pub(crate) locality: Option<String>,
    /// Street and what follows, in one line.
    pub(crate) address: Option<String>,
    pub(crate) postal: Option<String>,
    pub(crate) web: Option<String>,
    /// Country of the firm that it belongs to.
    pub(crate) parent_country: Option<String>,
    /// Codes, rising.
    pub(crate) states: Vec<u32>,
    /// Authorised activities: CAEN code and version of the list.
    pub(crate) activities: Vec<(u16, u8)>,
}

impl Firm {
    /// The code, if it is one: bytes may be damaged.
    pub(crate) fn cui(&self) -> Option<Cui> {
        Cui::from_number(self.cui).ok()
    }

    pub(crate) fn county_name(&self) -> Option<&'static str> {
        county::of_register(self.county)
    }

    pub(crate) fn is_struck_off(&self) -> bool {
        self.states.contains(&STRUCK_OFF)
    }

    /// Active, and neither struck off nor about to end.
    pub(crate) fn is_active(&self) -> bool {
        let ends = |state: &u32| *state == STRUCK_OFF || ENDING.contains(state);
        self.states.contains(&ACTIVE) && !self.states.iter().any(ends)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec(self).expect("texts and numbers can always be written")
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }
}

#[cfg(test)]
pub(super) fn sample() -> Firm {
    Firm {
        cui: 990_000_013,
        name: "EXEMPLU ALFA S.R.L.".to_owned(),
        number: "J32/1/2010".to_owned(),
        registered: Some("2010-01-04".to_owned()),
        form: Some("SRL".to_owned()),
        county: 32,
        locality: Some("Municipiul Sibiu".to_owned()),
        address: None,
        postal: None,
        web: None,
        parent_country: None,
        states: vec![ACTIVE],
        activities: vec![(111, 2)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firm_is_the_same_after_its_bytes() {
        let firm = sample();
        assert_eq!(Firm::from_bytes(&firm.to_bytes()), Some(firm.clone()));
        assert_eq!(firm.county_name(), Some("Sibiu"));
        for end in 0..firm.to_bytes().len() {
            assert_eq!(Firm::from_bytes(&firm.to_bytes()[..end]), None);
        }
    }

    #[test]
    fn only_a_firm_that_goes_on_is_active() {
        let with = |states: &[u32]| Firm {
            states: states.to_vec(),
            ..sample()
        };
        assert!(with(&[1048]).is_active() && !with(&[1048]).is_struck_off());
        assert!(!with(&[1048, 1139]).is_active());
        assert!(!with(&[1048, 1084]).is_active() && with(&[1084]).is_struck_off());
        assert!(!with(&[]).is_active() && !with(&[]).is_struck_off());
    }
}
