//! Freshness by the letter of RFC 9111, and its arithmetic against a plain reckoning in seconds.

use http::header::{CACHE_CONTROL, HeaderName};
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds).unwrap() * 1_000)
}

fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + secs(seconds))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

fn of(status: u16, pairs: &[(&'static str, &str)], plan: &Plan) -> Option<Freshness> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let headers = headers(&pairs);
    let answer = Received {
        status: StatusCode::from_u16(status).unwrap(),
        headers: &headers,
        delay: Duration::ZERO,
        now: at(NOW),
    };
    Freshness::of(&answer, &Directives::default(), plan)
}

fn request(text: &str) -> Directives {
    let headers = HeaderMap::from_iter([(CACHE_CONTROL, text.parse().unwrap())]);
    Directives::read(&headers)
}

#[test]
fn what_must_not_be_kept_is_not() {
    let check = |status: u16, pairs: &[(&'static str, &str)], is_kept: bool| {
        let kept = of(status, pairs, &Plan::default());
        assert_eq!(kept.is_some(), is_kept, "{status} {pairs:?}");
    };
    let fresh = ("cache-control", "max-age=60");
    check(200, &[fresh], true);
    check(404, &[fresh], true);
    check(206, &[fresh], false);
    check(304, &[fresh], false);
    check(500, &[fresh], false);
    check(200, &[fresh, ("set-cookie", "a=1")], false);
    check(200, &[fresh, ("vary", "accept, *")], false);
    check(200, &[("cache-control", "max-age=60, private")], false);
    check(200, &[("cache-control", "max-age=60, no-store")], false);
    check(200, &[], false);
    check(200, &[("etag", "\"a\"")], false);
    check(200, &[("cache-control", "no-cache")], false);
    check(
        200,
        &[("cache-control", "no-cache"), ("etag", "\"a\"")],
        true,
    );
    check(
        200,
        &[("cache-control", "max-age=0"), ("etag", "\"a\"")],
        true,
    );
    check(200, &[("cache-control", "max-age=0")], false);
    check(200, &[("expires", "0"), ("etag", "\"a\"")], true);
    let refusing = request("no-store");
    let headers = headers(&[("cache-control", "max-age=60".to_owned())]);
    let answer = Received {
        status: StatusCode::OK,
        headers: &headers,
        delay: secs(0),
        now: at(NOW),
    };
    assert!(Freshness::of(&answer, &refusing, &Plan::default()).is_none());
}

#[test]
fn a_routes_own_time_counts_for_answers_that_say_none() {
    let plan = Plan {
        ttl: Some(secs(30)),
        ..Plan::default()
    };
    assert_eq!(of(200, &[], &plan).unwrap().lifetime, secs(30));
    assert_eq!(
        of(200, &[("cache-control", "max-age=5")], &plan)
            .unwrap()
            .lifetime,
        secs(5)
    );
    // A status that is not cacheable by default needs the service's own word.
    assert!(of(302, &[], &plan).is_none());
    assert!(of(401, &[], &plan).is_none());
    assert!(of(200, &[("cache-control", "private")], &plan).is_none());
}

#[test]
fn the_time_of_a_shared_cache_goes_before_the_others() {
    let expires = date(NOW + 90);
    let made = date(NOW);
    let pairs = [("expires", expires.as_str()), ("date", made.as_str())];
    assert_eq!(
        of(200, &pairs, &Plan::default()).unwrap().lifetime,
        secs(90)
    );
    let all = [
        pairs[0],
        pairs[1],
        ("cache-control", "max-age=60, s-maxage=10"),
    ];
    let both = of(200, &all, &Plan::default()).unwrap();
    assert_eq!(both.lifetime, secs(10));
    assert!(both.must_revalidate);
}

#[test]
fn requests_may_ask_for_less_or_allow_more() {
    let kept = of(200, &[("cache-control", "max-age=60")], &Plan::default()).unwrap();
    let check = |resident: u64, says: &str, expected: Verdict| {
        assert_eq!(
            kept.verdict(secs(resident), &request(says)),
            expected,
            "{resident} {says}"
        );
    };
    let ask = |if_error| Verdict::Revalidate { if_error };
    check(59, "", Verdict::Fresh);
    check(60, "", ask(false));
    check(30, "no-cache", ask(true));
    check(30, "max-age=30", Verdict::Fresh);
    check(31, "max-age=30", ask(true));
    check(30, "min-fresh=30", Verdict::Fresh);
    check(31, "min-fresh=30", ask(true));
    check(70, "max-stale=10", Verdict::Fresh);
    check(71, "max-stale=10", ask(false));
    check(1_000, "max-stale", Verdict::Fresh);
    let strict = of(
        200,
        &[(
            "cache-control",
            "max-age=60, must-revalidate, stale-if-error=9",
        )],
        &Plan::default(),
    );
    let strict = strict.unwrap();
    assert_eq!(strict.verdict(secs(61), &request("max-stale")), ask(false));
}

#[test]
fn a_stale_answer_may_be_used_within_its_windows() {
    let said = "max-age=60, stale-while-revalidate=10, stale-if-error=30";
    let kept = of(200, &[("cache-control", said)], &Plan::default()).unwrap();
    let none = Directives::default();
    assert_eq!(kept.verdict(secs(69), &none), Verdict::Stale);
    assert_eq!(
        kept.verdict(secs(70), &none),
        Verdict::Revalidate { if_error: true }
    );
    assert_eq!(
        kept.verdict(secs(90), &none),
        Verdict::Revalidate { if_error: false }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// RFC 9111 §4.2.3 and §4.2.4 written down once more, in whole seconds and without saturation.
    #[test]
    fn the_arithmetic_is_that_of_the_standard(
        date_offset in -500_i64..500,
        has_date in any::<bool>(),
        age in proptest::option::of(0_u64..300),
        delay in 0_u64..30,
        max_age in 0_u64..300,
        swr in 0_u64..100,
        sie in 0_u64..100,
        must in any::<bool>(),
        resident in 0_u64..1_000,
    ) {
        let made = NOW.checked_add_signed(date_offset).unwrap();
        let mut pairs = vec![
            ("etag", "\"a\"".to_owned()),
            ("cache-control", format!(
                "max-age={max_age}, stale-while-revalidate={swr}, stale-if-error={sie}{}",
                if must { ", must-revalidate" } else { "" },
            )),
        ];
        pairs.extend(has_date.then(|| ("date", date(made))));
        pairs.extend(age.map(|age| ("age", age.to_string())));
        let headers = headers(&pairs);
        let answer = Received { status: StatusCode::OK, headers: &headers, delay: secs(delay), now: at(NOW) };
        let kept = Freshness::of(&answer, &Directives::default(), &Plan::default()).unwrap();

        let apparent_age = if has_date { NOW.saturating_sub(made) } else { 0 };
        let corrected_age_value = age.unwrap_or(0) + delay;
        let current_age = apparent_age.max(corrected_age_value) + resident;
        prop_assert_eq!(kept.age(secs(resident)), secs(current_age));

        let expected = if current_age < max_age {
            Verdict::Fresh
        } else if !must && current_age < max_age + swr {
            Verdict::Stale
        } else {
            Verdict::Revalidate { if_error: !must && current_age < max_age + sie }
        };
        prop_assert_eq!(kept.verdict(secs(resident), &Directives::default()), expected);
    }

    /// Time only makes an answer less usable, and a request's wishes never make a fresh one staler
    /// than they say.
    #[test]
    fn an_answer_never_becomes_fresh_again(
        max_age in 1_u64..300,
        swr in 0_u64..100,
        first in 0_u64..600,
        more in 0_u64..600,
        wish in prop_oneof![
            Just(String::new()), (0_u64..300).prop_map(|n| format!("max-age={n}")),
            (0_u64..300).prop_map(|n| format!("min-fresh={n}")),
            (0_u64..300).prop_map(|n| format!("max-stale={n}")),
        ],
    ) {
        let said = format!("max-age={max_age}, stale-while-revalidate={swr}");
        let kept = of(200, &[("cache-control", &said)], &Plan::default()).unwrap();
        let rank = |verdict| match verdict {
            Verdict::Fresh => 0,
            Verdict::Stale => 1,
            Verdict::Revalidate { .. } => 2,
        };
        let wish = request(&wish);
        let before = rank(kept.verdict(secs(first), &wish));
        let after = rank(kept.verdict(secs(first + more), &wish));
        prop_assert!(after >= before);
    }
}
