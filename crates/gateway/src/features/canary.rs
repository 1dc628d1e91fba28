//! [pure] A part of a route's calls goes to another service: the new version, tried on a few.

use core::net::IpAddr;

use http::HeaderMap;
use http::header::{COOKIE, HeaderName};
use serde::Deserialize;

use super::Wrong;
use crate::auth::api_key::Caller;
use crate::path::Pattern;

/// Weights are hundredths of all calls.
const WEIGHT_MAX: u8 = 100;

/// The service that gets a part of the calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Its name.
    pub service: String,
    /// The path there; the route's own without it.
    #[serde(default)]
    pub to: Option<String>,
    /// How many of a hundred calls it gets: 0, so that only those that `when` names go there.
    #[serde(default)]
    pub weight: u8,
    /// Calls that always go there.
    #[serde(default)]
    pub when: Option<When>,
    /// What decides for the others: the same value goes the same way. Without it, or for calls
    /// without such a value, chance.
    #[serde(default)]
    pub sticky: Option<Sticky>,
}

/// A header or cookie that names the canary.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The header's name.
    #[serde(default)]
    pub header: Option<String>,
    /// The cookie's name.
    #[serde(default)]
    pub cookie: Option<String>,
    /// The value that it must have; any without it.
    #[serde(default)]
    pub is: Option<String>,
}

/// What a call is recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sticky {
    /// The API key.
    Key,
    /// The account.
    Account,
    /// The caller's address.
    Address,
    /// A header of this name.
    Header(String),
    /// A cookie of this name.
    Cookie(String),
}

/// The choice, compiled.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) service: taraf_service::Target,
    pub(crate) path: Option<Pattern>,
    weight: u8,
    when: Option<(Value, Option<String>)>,
    sticky: Option<By>,
    /// So that the few of one route are not the few of all.
    salt: u64,
}

#[derive(Debug)]
enum Value {
    Header(HeaderName),
    Cookie(String),
}

#[derive(Debug)]
enum By {
    Key,
    Account,
    Address,
    Value(Value),
}

/// What a call can be told by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) address: IpAddr,
}

impl Plan {
    pub(crate) fn build(
        canary: &Canary,
        route: &str,
        pattern: &Pattern,
    ) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let (service, path) = super::other_target(
            "canary",
            &canary.service,
            canary.to.as_deref(),
            pattern,
            &mut wrong,
        );
        if canary.weight > WEIGHT_MAX {
            let why = format!("{} is more than {WEIGHT_MAX} of a hundred", canary.weight);
            wrong.push(Wrong::new("canary.weight", why));
        }
        let mut keep = |built: Result<Value, Wrong>| built.map_err(|error| wrong.push(error)).ok();
        let when = canary.when.as_ref().and_then(|when| {
            let value = match (&when.header, &when.cookie) {
                (Some(name), None) => header("canary.when.header", name),
                (None, Some(name)) => Ok(Value::Cookie(name.clone())),
                _both_or_none => Err(Wrong::new("canary.when", "name a `header` or a `cookie`")),
            };
            Some((keep(value)?, when.is.clone()))
        });
        let sticky = canary.sticky.as_ref().and_then(|sticky| {
            Some(match sticky {
                Sticky::Key => By::Key,
                Sticky::Account => By::Account,
                Sticky::Address => By::Address,
                Sticky::Header(name) => By::Value(keep(header("canary.sticky.header", name))?),
                Sticky::Cookie(name) => By::Value(Value::Cookie(name.clone())),
            })
        });
        match service {
            Some(service) if wrong.is_empty() => Ok(Self {
                service,
                path,
                weight: canary.weight,
                when,
                sticky,
                salt: hash(0, route.as_bytes()),
            }),
            Some(_) | None => Err(wrong),
        }
    }

    /// Whether a call goes to the canary. `chance` decides for those that nothing tells apart.
    pub(crate) fn takes(&self, marks: &Marks<'_>, chance: impl FnOnce() -> u64) -> bool {
        if let Some((value, wanted)) = &self.when
            && let Some(found) = value.read(marks.headers)
            && wanted.as_deref().is_none_or(|wanted| wanted == found)
        {
            return true;
        }
        if self.weight == 0 {
            return false;
        }
        let known = match &self.sticky {
            None => None,
            Some(By::Key) => marks.caller.map(|caller| caller.key.to_string()),
            Some(By::Account) => marks.caller.map(|caller| caller.account.to_string()),
            Some(By::Address) => Some(marks.address.to_canonical().to_string()),
            Some(By::Value(value)) => value.read(marks.headers).map(str::to_owned),
        };
        let number = known.map_or_else(chance, |known| hash(self.salt, known.as_bytes()));
        number % u64::from(WEIGHT_MAX) < self.weight.into()
    }
}

impl Value {
    fn read<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        match self {
            Self::Header(name) => headers.get(name)?.to_str().ok(),
            Self::Cookie(name) => cookie(headers, name),
        }
    }
}

/// The value of a cookie of a request (RFC 6265 §4.2.1).
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).iter();
    let pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
    named
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn header(at: &str, name: &str) -> Result<Value, Wrong> {
    let read = HeaderName::try_from(name);
    read.map(Value::Header)
        .map_err(|_odd| Wrong::new(at, format!("`{name}` is not the name of a header")))
}

/// FNV-1a with a finish that spreads it: the same on every node and in every version.
fn hash(salt: u64, bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ salt;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(json: serde_json::Value) -> Result<Plan, Vec<Wrong>> {
        let canary: Canary = serde_json::from_value(json).unwrap();
        Plan::build(&canary, "route", &Pattern::parse("/x/{a}").unwrap())
    }

    fn takes(plan: &Plan, pairs: &[(&'static str, &str)], chance: u64) -> bool {
        let pairs = pairs.iter();
        let headers =
            pairs.map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let headers = headers.collect();
        let marks = Marks {
            headers: &headers,
            caller: None,
            address: "192.0.2.1".parse().unwrap(),
        };
        plan.takes(&marks, || chance)
    }

    #[test]
    fn a_named_header_or_cookie_always_goes_there() {
        let by_header =
            plan(serde_json::json!({"service": "n", "when": {"header": "x-canary", "is": "yes"}}))
                .unwrap();
        assert!(takes(&by_header, &[("x-canary", "yes")], 99));
        assert!(!takes(&by_header, &[("x-canary", "no")], 0));
        assert!(!takes(&by_header, &[], 0));
        let by_cookie =
            plan(serde_json::json!({"service": "n", "when": {"cookie": "next"}})).unwrap();
        assert!(takes(&by_cookie, &[("cookie", "a=1; next=2")], 99));
        assert!(!takes(&by_cookie, &[("cookie", "nextt=2")], 0));
    }

    #[test]
    fn what_is_wrong_names_its_member() {
        let wrong = plan(serde_json::json!({
            "service": "N", "to": "/{b}", "weight": 101, "when": {}, "sticky": {"header": "a b"},
        }));
        let at: Vec<_> = wrong
            .unwrap_err()
            .into_iter()
            .map(|wrong| wrong.at)
            .collect();
        let expected = [
            "canary.service",
            "canary.to",
            "canary.weight",
            "canary.when",
            "canary.sticky.header",
        ];
        assert_eq!(at, expected);
    }

    proptest! {
        #[test]
        fn the_same_value_goes_the_same_way_and_more_weight_only_adds(
            user in "[a-z0-9]{1,12}", weight in 1_u8..100, chances in any::<(u64, u64)>(),
        ) {
            let sticky = |weight: u8| plan(serde_json::json!({
                "service": "n", "weight": weight, "sticky": {"header": "x-user"},
            })).unwrap();
            let now = takes(&sticky(weight), &[("x-user", &user)], chances.0);
            prop_assert_eq!(now, takes(&sticky(weight), &[("x-user", &user)], chances.1));
            prop_assert!(!now || takes(&sticky(weight + 1), &[("x-user", &user)], 0));
            prop_assert!(takes(&sticky(100), &[("x-user", &user)], 0));
        }
    }

    #[test]
    fn values_are_spread_as_the_weight_says() {
        let tenth =
            plan(serde_json::json!({"service": "n", "weight": 10, "sticky": {"header": "x-user"}}));
        let tenth = tenth.unwrap();
        let taken = (0..10_000)
            .filter(|n| takes(&tenth, &[("x-user", &format!("user{n}"))], 0))
            .count();
        assert!((900..1_100).contains(&taken), "{taken}");
    }
}
