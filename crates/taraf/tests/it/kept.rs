//! Kept answers as curl sees them, and as often as the service was really asked.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use super::curl::{self, Curled, curl};
use super::http::call;
use super::program::{Program, Site, eventually};
use super::upstream::{Upstream, say};

/// Callers at once.
const MANY: usize = 8;

struct Front {
    site: Site,
    program: Program,
    up: Upstream,
}

impl Front {
    /// A gateway that keeps the answers of a service: `/fresh`, `/asked`, `/varied`, `/secret` and
    /// `/held`, which waits until it is told to go on.
    fn start() -> (Self, Sender<()>) {
        let (go_on, held) = channel::<()>();
        let (held, count) = (Mutex::new(held), Arc::new(Mutex::new(0)));
        let up = Upstream::start(move |request, stream| {
            let number = {
                let mut count = count.lock().unwrap();
                *count += 1;
                *count
            };
            let body = format!("answer {number}");
            match request.line.as_str() {
                "GET /fresh" => say(
                    stream,
                    "200 OK",
                    "cache-control: max-age=60\r\netag: \"one\"\r\n",
                    &body,
                ),
                "GET /asked" => {
                    let headers = "cache-control: no-cache\r\netag: \"two\"\r\n";
                    if request.header("if-none-match") == Some("\"two\"") {
                        return say(stream, "304 Not Modified", headers, "");
                    }
                    say(stream, "200 OK", headers, &body)
                }
                "GET /varied" => {
                    let language = request.header("accept-language").unwrap_or("none");
                    let headers = "cache-control: max-age=60\r\nvary: accept-language\r\n";
                    say(stream, "200 OK", headers, &format!("in {language}"))
                }
                "GET /secret" => say(stream, "200 OK", "cache-control: no-store\r\n", &body),
                "GET /held" => {
                    held.lock().unwrap().recv().unwrap();
                    say(stream, "200 OK", "cache-control: max-age=60\r\n", &body)
                }
                other => unreachable!("nobody calls {other}"),
            }
        });
        let section = format!("[services.up]\nendpoints = [\"{}\"]\n", up.address);
        let manifest = "services: [up]\nroutes:\n\
            - { method: GET, path: '/{name}', service: up, auth: none, cache: true }\n";
        let site = Site::with_routes(&section, manifest);
        let program = site.serve();
        (Self { site, program, up }, go_on)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.program.text("gateway"))
    }

    /// What `%{http_code} %{header}` and the body are.
    fn get(&self, path: &str, more: &[&str]) -> Curled {
        let url = self.url(path);
        let told = ["--write-out", " %{http_code} %header{x-cache}", &url];
        curl(&[&told, more].concat())
    }
}

#[test]
fn a_caller_that_has_the_answer_gets_304_and_the_service_is_not_asked() {
    let (front, _) = Front::start();
    let file = front.site.dir.path().join("etag");
    let file = file.to_str().unwrap();
    let saved = front.get("/fresh", &["--etag-save", file]).answered();
    assert_eq!(saved, "answer 1 200 MISS");
    let known = front.get("/fresh", &["--etag-compare", file]).answered();
    assert_eq!(known, " 304 HIT");
    assert_eq!(front.get("/fresh", &[]).answered(), "answer 1 200 HIT");
    // A caller that has another is given this one.
    let other = ["--header", "if-none-match: \"other\""];
    assert_eq!(front.get("/fresh", &other).answered(), "answer 1 200 HIT");
    assert_eq!(front.up.count("/fresh"), 1);
    front.program.stop();
}

#[test]
fn an_answer_that_must_be_asked_about_is_and_comes_from_memory_when_it_still_stands() {
    let (front, _) = Front::start();
    for _ in 0..3 {
        let body = front.get("/asked", &[]).answered();
        assert!(body.starts_with("answer 1 200"), "{body}");
    }
    let asked: Vec<_> = front.up.asked();
    let tags: Vec<_> = asked
        .iter()
        .map(|request| request.header("if-none-match"))
        .collect();
    assert_eq!(tags, [None, Some("\"two\""), Some("\"two\"")]);
    front.program.stop();
}

#[test]
fn what_varies_is_kept_for_each_and_what_must_not_be_stored_is_not() {
    let (front, _) = Front::start();
    for round in ["MISS", "HIT"] {
        for language in ["en", "ro"] {
            let header = format!("accept-language: {language}");
            let body = front.get("/varied", &["--header", &header]).answered();
            assert_eq!(body, format!("in {language} 200 {round}"));
        }
    }
    assert_eq!(front.up.count("/varied"), 2);
    let secrets = [
        front.get("/secret", &[]).answered(),
        front.get("/secret", &[]).answered(),
    ];
    assert_eq!(secrets, ["answer 3 200 MISS", "answer 4 200 MISS"]);
    assert_eq!(front.up.count("/secret"), 2);
    // A caller may ask for what nobody has kept.
    let anew = [
        "--header",
        "cache-control: no-cache",
        "--header",
        "accept-language: en",
    ];
    assert!(
        front
            .get("/varied", &anew)
            .answered()
            .starts_with("in en 200")
    );
    assert_eq!(front.up.count("/varied"), 3);
    front.program.stop();
}

#[test]
fn equal_calls_at_once_are_one_call_of_the_service() {
    let (front, go_on) = Front::start();
    let url = front.url("/held");
    let mut words = vec!["--parallel", "--parallel-immediate", "--parallel-max", "8"];
    words.extend(std::iter::repeat_n(url.as_str(), MANY));
    let all = curl::begin(&words);
    let metrics = format!("{}/metrics", front.program.text("operator"));
    eventually("all calls wait", || {
        let text = call("GET", &metrics, &[], b"").expect(200).text();
        let wanted = format!("taraf_gateway_calls_in_flight {MANY}");
        text.lines().any(|line| line == wanted).then_some(())
    });
    go_on.send(()).unwrap();
    assert_eq!(curl::end(all).answered(), "answer 1".repeat(MANY));
    assert_eq!(front.up.count("/held"), 1);
    front.program.stop();
}
