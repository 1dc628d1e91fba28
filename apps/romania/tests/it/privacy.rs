//! Personal numbers never reach a log or a metric.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::bench::Bench;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_personal_number_is_in_no_log_and_no_metric() {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    // The test's runtime has one thread: everything below logs here.
    let _guard = tracing::subscriber::set_default(subscriber);
    let bench = Bench::start().await;
    let valid = "5000229320019";
    for uri in [
        format!("validate.service/validate/cnp/{valid}"),
        format!("validate.service/validate/cif/{valid}"),
        format!("companies.service/companies/{valid}"),
    ] {
        let _answer = bench.get(&uri).await;
    }
    let post = "validate.service/validate/cnp";
    let _answer = bench.post(post, &json!({"cnp": valid})).await;
    let misplaced = bench
        .post(post, &json!({"cnp": 5_000_229_320_019_u64}))
        .await;
    assert_eq!(misplaced.status, 400);
    assert!(!misplaced.json.to_string().contains(valid));
    let metrics = bench.get("validate.service/metrics").await;
    assert!(!metrics.json.to_string().contains(valid));
    tracing::debug!("the log is kept");
    let log = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log is kept"));
    assert!(!log.contains(valid), "{log}");
}
