//! What callers see: services and composite services behind one address with one key.

use serde_json::json;
use taraf_base::Tasks;
use taraf_romania::recorded;
use tempfile::TempDir;

use super::http::call;
use super::program::{Program, Site, dead_address, eventually};

#[test]
fn services_answer_behind_one_key() {
    let dir = TempDir::new().unwrap();
    let program = Program::dev(dir.path());
    let company = program.get("/api/companies/13548146").expect(200).json();
    assert_eq!(company["cif"], "13548146");
    let rate = program.get("/api/exchange/EUR").expect(200).json();
    assert!(rate["rate"].is_string(), "{rate}");
    let iban = program
        .get("/api/validate/iban/RO49AAAA1B31007593840000")
        .expect(200);
    assert_eq!(iban.json()["valid"], true);
    let balances = program
        .get("/api/companies/38744563/balances/2019")
        .expect(200);
    assert_eq!(balances.json()["year"], 2019);
    let usage = program.get("/api/usage").expect(200).json();
    assert_eq!(usage["account"], "dev");

    let url = format!("{}/api/companies/13548146", program.text("gateway"));
    call("GET", &url, &[], b"").expect(401);
    call("GET", &url, &[("x-api-key", "wrong")], b"").expect(403);
    let document = call(
        "GET",
        &format!("{}/openapi.json", program.text("gateway")),
        &[],
        b"",
    );
    let document = document.expect(200).json();
    for path in [
        "/api/companies/{cif}",
        "/api/company-profile/{cif}",
        "/api/supplier-check",
    ] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    program.stop();
}

#[test]
fn a_company_profile_is_complete() {
    let dir = TempDir::new().unwrap();
    let program = Program::dev(dir.path());
    let profile = program
        .get("/api/company-profile/38744563")
        .expect(200)
        .json();
    assert_eq!(profile["missing"], json!([]), "{profile}");
    let turnover = &profile["turnover"];
    assert_eq!(
        (&turnover["year"], &turnover["rate_date"]),
        (&json!(2019), &json!("2019-12-31"))
    );
    assert!(
        !turnover["ron"].is_null() && !turnover["eur"].is_null(),
        "{profile}"
    );
    program.stop();
}

/// The recorded sources, in this process.
pub(crate) struct Sources {
    pub(crate) source: recorded::Recorded,
    tasks: Tasks,
    runtime: tokio::runtime::Runtime,
}

impl Sources {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let tasks = Tasks::new();
        let source = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            recorded::start(listener, &tasks).await.unwrap()
        });
        Self {
            source,
            tasks,
            runtime,
        }
    }

    /// The section of a file that lets connectors ask these sources.
    pub(crate) fn section(&self) -> String {
        let base = self.source.base_url();
        format!(
            "[apps.romania]\nanaf_base_url = \"{base}\"\nbnr_base_url = \"{base}\"\n\
             warm = [\"38744563\"]\n"
        )
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        let drained = self.tasks.drain(std::time::Duration::from_secs(5));
        self.runtime.block_on(drained);
    }
}

#[test]
fn a_profile_without_the_rates_service_says_so() {
    let sources = Sources::start();
    let dead = dead_address();
    let site = Site::new(&format!(
        "{}\n[services.rates]\nendpoints = [\"{dead}\"]\n",
        sources.section()
    ));
    let program = site.serve();
    let key = site.key(&program);
    let url = format!("{}/api/company-profile/38744563", program.text("gateway"));
    let profile = eventually("the balance is there", || {
        let answer = call("GET", &url, &[("x-api-key", &key)], b"").expect(200);
        let profile = answer.json();
        (!profile["balance"].is_null()).then_some(profile)
    });
    assert_eq!(profile["missing"], json!(["rates"]), "{profile}");
    assert!(!profile["turnover"]["ron"].is_null(), "{profile}");
    program.stop();
}
