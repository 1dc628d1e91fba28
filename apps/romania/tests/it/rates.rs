//! Exchange rates and conversion.

use serde_json::{Value, json};

use crate::bench::Bench;

async fn check(bench: &Bench, path: &str, expected: Value) {
    let mut answer = bench.get(&format!("rates.service/exchange/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json["meta"] = Value::Null;
    let mut expected = expected;
    expected["meta"] = Value::Null;
    assert_eq!(answer.json, expected, "{path}");
}

#[tokio::test]
async fn a_day_has_the_last_fixing_up_to_it() {
    let bench = Bench::start().await;
    let published = include_str!("../fixtures/openapi-ro/exchange-EUR-2023-11-18.json");
    let published: Value = serde_json::from_str(published).unwrap();
    check(&bench, "EUR?date=2023-11-18", published).await;
    let eur = |rate: &str, date: &str, asked: &str| json!({"rate": rate, "date": date, "query_date": asked});
    check(
        &bench,
        "eur?date=2019-12-31",
        eur("4.7793", "2019-12-31", "2019-12-31"),
    )
    .await;
    check(
        &bench,
        "EUR?date=2020-01-02",
        eur("4.7793", "2019-12-31", "2020-01-02"),
    )
    .await;
    check(
        &bench,
        "EUR?date=2017-08-02",
        eur("4.5577", "2017-08-01", "2017-08-02"),
    )
    .await;
    let tax = eur("4.5577", "2017-08-01", "2017-08-03");
    check(&bench, "EUR?date=2017-08-03&rule=tax", tax).await;
    check(&bench, "EUR", eur("5.2584", "2026-08-28", "2026-11-22")).await;
}

#[tokio::test]
async fn all_rates_are_per_one_unit() {
    let bench = Bench::start().await;
    let published = include_str!("../fixtures/openapi-ro/exchange-all-2023-11-17.json");
    let published: Value = serde_json::from_str(published).unwrap();
    for path in ["exchange", "exchange/", "exchange/all"] {
        let answer = bench
            .get(&format!("rates.service/{path}?date=2023-11-17"))
            .await;
        assert_eq!(answer.json["date"], "2023-11-17");
        for (currency, rate) in published["rates"].as_object().unwrap() {
            assert_eq!(&answer.json["rates"][currency], rate, "{path} {currency}");
        }
        assert_eq!(answer.json["rates"].get("RON"), None);
        assert_eq!(answer.json["meta"], json!({"recorded": true}));
    }
}

#[tokio::test]
async fn made_up_rates_say_so() {
    let bench = Bench::start().await;
    for (path, expected) in [
        ("EUR", json!({"recorded": true})),
        ("CHF", json!({"recorded": true, "sample": true})),
        (
            "EUR?date=2023-05-10",
            json!({"recorded": true, "sample": true}),
        ),
    ] {
        let answer = bench.get(&format!("rates.service/exchange/{path}")).await;
        assert_eq!(answer.json["meta"], expected, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_said_and_not_guessed() {
    let bench = Bench::start().await;
    for (path, status, code) in [
        ("EUR?date=2019-06-03", 404, "fixing_not_found"),
        ("EUR?date=2004-12-31", 404, "fixing_not_found"),
        ("EUR?date=2019-12-31&rule=tax", 404, "fixing_not_found"),
        ("GBP?date=2019-12-31", 404, "currency_not_found"),
        ("RON", 404, "currency_not_found"),
        ("EURO", 404, "currency_not_found"),
        ("EUR?date=2026-11-23", 400, "bad_value"),
        ("EUR?date=31.12.2019", 400, "bad_value"),
        ("EUR?date=2019-02-30", 400, "bad_value"),
        ("EUR?rule=other", 400, "bad_request"),
    ] {
        let answer = bench.get(&format!("rates.service/exchange/{path}")).await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_amount_is_converted_without_a_binary_float() {
    let bench = Bench::start().await;
    let convert = "rates.service/exchange/convert";
    for amount in [json!(174_962), json!("174962")] {
        let ask = json!({"amount": amount, "from": "RON", "to": "EUR", "date": "2019-12-31"});
        let answer = bench.post(convert, &ask).await;
        let expected = json!({
            "amount": "174962", "from": "RON", "to": "EUR", "result": "36608.29",
            "rate": "4.7793", "rates": {"EUR": "4.7793"}, "date": "2019-12-31",
            "query_date": "2019-12-31", "meta": {"recorded": true}
        });
        assert_eq!(answer.json, expected);
    }
    let across = json!({"amount": "100.10", "from": "eur", "to": "usd", "date": "2019-12-31"});
    let answer = bench.post(convert, &across).await;
    assert_eq!(answer.json["result"], "112.28");
    assert_eq!(answer.json.get("rate"), None);
    for (amount, code) in [
        (json!("1e3"), "bad_value"),
        (json!(1e300), "bad_value"),
        (json!("1,5"), "bad_value"),
        (json!(null), "bad_value"),
        (json!([]), "bad_value"),
        (json!("99999999999999999999"), "bad_value"),
    ] {
        let ask = json!({"amount": amount, "from": "RON", "to": "EUR", "date": "2019-12-31"});
        let answer = bench.post(convert, &ask).await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (400, Some(code)),
            "{amount}"
        );
    }
    assert_eq!(bench.post(convert, &json!({"amount": 1})).await.status, 400);
}

#[tokio::test]
async fn a_year_is_fetched_once() {
    let bench = Bench::start().await;
    for day in ["2017-08-01", "2017-08-02", "2017-08-03", "2017-08-04"] {
        let _answer = bench
            .get(&format!("rates.service/exchange/USD?date={day}"))
            .await;
    }
    assert_eq!(bench.source.count("/files/xml/years/nbrfxrates2017"), 1);
}
