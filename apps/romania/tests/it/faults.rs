//! What callers see while a source is broken: clear problems or marked data, never wrong data.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::json;
use taraf_base::Timestamp;
use taraf_romania::Config;
use taraf_romania::recorded::Fault;

use crate::bench::{Bench, NOW, settings};

const FAULTS: [(Fault, u16, &str); 6] = [
    (Fault::Slow(5_000), 504, "source_timeout"),
    (Fault::Html, 502, "source_broken"),
    (Fault::TooManyRequests, 503, "source_unavailable"),
    (Fault::ServerError, 503, "source_unavailable"),
    (Fault::CutBody, 502, "source_broken"),
    (Fault::Refuse, 502, "source_broken"),
];

fn impatient() -> Config {
    Config {
        anaf_interval: Duration::from_millis(1),
        source_timeout: Duration::from_millis(300),
        ..settings()
    }
}

#[tokio::test]
async fn each_fault_is_a_clear_problem_and_ends_with_its_cause() {
    for (fault, status, code) in FAULTS {
        let bench = Bench::with(impatient()).await;
        bench.source.set_fault(fault);
        for uri in [
            "companies.service/companies/38744563",
            "companies.service/companies/38744563/balances/2019",
            "companies.service/companies/38744563/balances",
            "rates.service/exchange/EUR?date=2017-08-01",
        ] {
            let answer = bench.get(uri).await;
            let seen = (answer.status, answer.json["code"].as_str());
            assert_eq!(seen, (status, Some(code)), "{fault:?} {uri}");
        }
        bench.source.set_fault(Fault::None);
        bench
            .becomes(200, "companies.service/companies/38744563")
            .await;
    }
}

#[tokio::test]
async fn a_lookup_of_many_names_those_that_failed() {
    let bench = Bench::with(impatient()).await;
    let known = bench.get("companies.service/companies/38744563").await;
    assert_eq!(known.status, 200);
    bench.source.set_fault(Fault::Html);
    let ask = json!({"cifs": ["38744563", "13548146"]});
    let answer = bench.post("companies.service/companies/lookup", &ask).await;
    assert_eq!(answer.json["data"][0]["cif"], "38744563");
    assert_eq!(answer.json["failed"][0]["cif"], "13548146");
    assert_eq!(answer.json["failed"][0]["code"], "source_broken");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let bench = Bench::start().await;
    bench.source.set_fault(Fault::DropKept);
    for code in [
        "38744563",
        "13548146",
        "990000013",
        "990000021",
        "990000030",
    ] {
        let answer = bench
            .get(&format!("companies.service/companies/{code}"))
            .await;
        assert_eq!(answer.status, 200, "{code} {answer:?}");
    }
}

/// How far the clock of the test below is ahead. Only that test uses it.
static AHEAD_SECONDS: AtomicI64 = AtomicI64::new(0);

fn moving_clock() -> Timestamp {
    let ahead = AHEAD_SECONDS.load(Ordering::Relaxed);
    Timestamp::from_millis(NOW.as_millis() + ahead * 1_000)
}

#[tokio::test]
async fn older_answers_are_given_and_marked_while_the_source_fails() {
    let bench = Bench::with(Config {
        clock: moving_clock,
        ..impatient()
    })
    .await;
    let uris = [
        "companies.service/companies/38744563",
        "companies.service/companies/38744563/balances/2019",
        "rates.service/exchange/EUR?date=2026-08-28",
    ];
    for uri in uris {
        let answer = bench.get(uri).await;
        assert_eq!(answer.json["meta"].get("stale"), None, "{uri} {answer:?}");
    }
    bench.source.set_fault(Fault::ServerError);
    AHEAD_SECONDS.store(25 * 3_600, Ordering::Relaxed);
    for uri in uris {
        let answer = bench.get(uri).await;
        assert_eq!(
            (answer.status, &answer.json["meta"]["stale"]),
            (200, &json!(true)),
            "{uri}"
        );
    }
    AHEAD_SECONDS.store(32 * 24 * 3_600, Ordering::Relaxed);
    let answer = bench.get(uris[0]).await;
    assert_eq!(answer.status, 503);
    bench.source.set_fault(Fault::None);
    let answer = bench.get(uris[0]).await;
    assert_eq!(
        (answer.status, answer.json["meta"].get("stale")),
        (200, None)
    );
}

#[tokio::test]
async fn a_restart_forgets_no_fixing() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        folder: Some(folder.path().to_owned()),
        ..impatient()
    };
    let bench = Bench::with(config.clone()).await;
    let uris = [
        "rates.service/exchange/EUR?date=2017-08-01",
        "rates.service/exchange?date=2023-11-17",
        "rates.service/exchange/EUR?date=2026-08-28",
        "rates.service/exchange/EUR",
    ];
    let mut before = Vec::new();
    for uri in uris {
        before.push(bench.get(uri).await);
    }
    bench.source.set_fault(Fault::ServerError);
    let again = bench.again(config).await;
    for (uri, before) in uris.into_iter().zip(before) {
        let mut answer = again.get(uri).await;
        assert_eq!(answer.status, 200, "{uri}: {answer:?}");
        // That the bank cannot be asked for a newer one is said.
        answer.json["meta"].as_object_mut().unwrap().remove("stale");
        assert_eq!(answer.json, before.json, "{uri}");
    }
    let other = Config {
        folder: None,
        ..impatient()
    };
    let without = bench.again(other).await.get(uris[0]).await;
    assert_eq!(without.status, 503);
}
