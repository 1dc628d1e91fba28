//! [pure] The recorded bytes, and which of them answer a request.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use taraf_service::{Body, body};

use crate::source::{RECORDED_HEADER, SAMPLE_HEADER};

/// The newest fixing is served as it was recorded.
const NEWEST: &str = include_str!("../../recorded/bnr/nbrfxrates-2026-08-28.xml");
/// Files of fixings; of two with the same day the later in this list counts.
const FIXINGS: [(&str, Made); 6] = [
    (
        include_str!("../../recorded/bnr/nbrfxrates2023-synthetic.xml"),
        Made::Up,
    ),
    (
        include_str!("../../recorded/bnr/nbrfxrates-2017-08-01.xml"),
        Made::Real,
    ),
    (
        include_str!("../../recorded/bnr/nbrfxrates-2017-08-03.xml"),
        Made::Real,
    ),
    (
        include_str!("../../recorded/bnr/nbrfxrates-2019-12-31.xml"),
        Made::Real,
    ),
    (
        include_str!("../../recorded/bnr/nbrfxrates-2023-11-17.xml"),
        Made::Real,
    ),
    (NEWEST, Made::Partly(&["AED", "EUR", "HUF", "USD"])),
];
const COMPANIES: [(&str, bool); 3] = [
    (include_str!("../../recorded/anaf/v9-38744563.json"), false),
    (include_str!("../../recorded/anaf/v9-synthetic.json"), true),
    (
        include_str!("../../recorded/anaf/v9-13548146-sample.json"),
        true,
    ),
];
const BALANCES: [(&str, bool); 2] = [
    (
        include_str!("../../recorded/anaf/bilant-38744563-2019.json"),
        false,
    ),
    (
        include_str!("../../recorded/anaf/bilant-990000013-2022-synthetic.json"),
        true,
    ),
];
/// As the tax office counts.
const MAX_CODES: usize = 100;
const VALID: &str = "the recorded files are checked by tests";
const JSON: &str = "application/json";
const XML: &str = "text/xml";

/// How much of a file is real.
#[derive(Clone, Copy)]
enum Made {
    Real,
    Up,
    /// These currencies are real.
    Partly(&'static [&'static str]),
}

/// One recorded fixing.
struct Fixing {
    /// From `<Cube` to `</Cube>`, as recorded.
    xml: &'static str,
    made: Made,
}

/// Everything that can be answered.
pub(super) struct Answers {
    fixings: BTreeMap<&'static str, Fixing>,
    companies: BTreeMap<u64, (Value, bool)>,
    balances: BTreeMap<(u64, u64), (&'static str, bool)>,
}

/// An answer before it is broken by a fault.
pub(super) struct Reply {
    status: StatusCode,
    media_type: &'static str,
    samples: String,
    /// Whole.
    pub(super) body: Bytes,
    /// Fiscal codes asked for.
    pub(super) codes: usize,
}

impl Reply {
    fn new(media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            media_type,
            samples: String::new(),
            body: body.into(),
            codes: 0,
        }
    }

    fn refused(status: StatusCode) -> Self {
        Self {
            status,
            ..Self::new("text/plain", "")
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(body::full(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        let recorded = HeaderName::from_static(RECORDED_HEADER);
        headers.insert(recorded, HeaderValue::from_static("true"));
        if let Ok(samples) = HeaderValue::try_from(self.samples)
            && !samples.is_empty()
        {
            headers.insert(HeaderName::from_static(SAMPLE_HEADER), samples);
        }
        response
    }
}

impl Answers {
    pub(super) fn load() -> Self {
        let mut fixings = BTreeMap::new();
        for (file, made) in FIXINGS {
            for (day, xml) in cubes(file) {
                fixings.insert(day, Fixing { xml, made });
            }
        }
        let mut companies = BTreeMap::new();
        for (file, is_sample) in COMPANIES {
            let mut answer: Value = serde_json::from_str(file).expect(VALID);
            for item in answer["found"].as_array_mut().expect(VALID) {
                let code = item["date_generale"]["cui"].as_u64().expect(VALID);
                companies.insert(code, (item.take(), is_sample));
            }
        }
        let mut balances = BTreeMap::new();
        for (file, is_sample) in BALANCES {
            let answer: Value = serde_json::from_str(file).expect(VALID);
            let number = |name: &str| answer[name].as_u64().expect(VALID);
            balances.insert((number("cui"), number("an")), (file, is_sample));
        }
        Self {
            fixings,
            companies,
            balances,
        }
    }

    /// The recorded answer to a request.
    pub(super) fn reply(&self, method: &Method, path: &str, body: &[u8]) -> Reply {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let year = bare
            .strip_prefix("/files/xml/years/nbrfxrates")
            .and_then(|rest| rest.strip_suffix(".xml"));
        match (method, bare, year) {
            (&Method::GET, "/nbrfxrates.xml", _) => Reply {
                samples: self.samples(cubes(NEWEST).map(|(day, _)| day)),
                ..Reply::new(XML, NEWEST)
            },
            (&Method::GET, "/nbrfxrates10days.xml", _) => {
                let skipped = self.fixings.len().saturating_sub(10);
                self.file(self.fixings.keys().skip(skipped).copied())
            }
            (&Method::GET, _, Some(year)) => {
                let of_year = |day: &&str| day.split('-').next() == Some(year);
                self.file(self.fixings.keys().copied().filter(of_year))
            }
            (&Method::POST, "/api/PlatitorTvaRest/v9/tva", _) => self.lookup(body),
            (&Method::GET, "/bilant", _) => self.balance(query),
            _ => Reply::refused(StatusCode::NOT_FOUND),
        }
    }

    /// A file with these days, in the layout of the archives; without any it has an empty body.
    fn file(&self, days: impl Iterator<Item = &'static str> + Clone) -> Reply {
        let mut file = String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<DataSet xmlns=\"http://www.bnr.ro/xsd\">\n\
             \t<Header>\n\t\t<Publisher>National Bank of Romania</Publisher>\n\
             \t\t<MessageType>DR</MessageType>\n\t</Header>\n\t<Body>\n\
             \t\t<Subject>Reference rates</Subject>\n\t\t<OrigCurrency>RON</OrigCurrency>\n",
        );
        for day in days.clone() {
            file.push_str("\t\t");
            file.push_str(self.fixings[day].xml);
            file.push('\n');
        }
        file.push_str("\t</Body>\n</DataSet>\n");
        Reply {
            samples: self.samples(days),
            ..Reply::new(XML, file)
        }
    }

    /// Days that are made up, and `DAY/CURRENCY` where only some rates are.
    fn samples(&self, days: impl Iterator<Item = &'static str>) -> String {
        let mut samples = Vec::new();
        for day in days {
            match self.fixings[day].made {
                Made::Real => {}
                Made::Up => samples.push(day.to_owned()),
                Made::Partly(real) => samples.extend(
                    currencies(self.fixings[day].xml)
                        .filter(|currency| !real.contains(currency))
                        .map(|currency| format!("{day}/{currency}")),
                ),
            }
        }
        samples.join(" ")
    }

    fn lookup(&self, body: &[u8]) -> Reply {
        let asked: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
        let codes: Vec<u64> = asked.iter().filter_map(|one| one["cui"].as_u64()).collect();
        if codes.is_empty() || codes.len() > MAX_CODES || codes.len() != asked.len() {
            return Reply {
                codes: codes.len(),
                ..Reply::refused(StatusCode::BAD_REQUEST)
            };
        }
        let known = |code: &&u64| self.companies.contains_key(*code);
        let (found, not_found): (Vec<&u64>, Vec<&u64>) = codes.iter().partition(known);
        let samples: Vec<String> = found
            .iter()
            .filter(|code| self.companies[*code].1)
            .map(ToString::to_string)
            .collect();
        let found: Vec<&Value> = found.iter().map(|code| &self.companies[*code].0).collect();
        Reply {
            samples: samples.join(" "),
            codes: codes.len(),
            ..Reply::new(
                JSON,
                json!({"found": found, "notFound": not_found}).to_string(),
            )
        }
    }

    fn balance(&self, query: &str) -> Reply {
        let number = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value.parse::<u64>().ok())
        };
        let (Some(year), Some(code)) = (number("an"), number("cui")) else {
            return Reply::refused(StatusCode::BAD_REQUEST);
        };
        let mut reply = match self.balances.get(&(code, year)) {
            Some((file, is_sample)) => Reply {
                samples: is_sample.then(|| code.to_string()).unwrap_or_default(),
                ..Reply::new(JSON, *file)
            },
            // As the tax office says that it has none.
            None => {
                let none = json!({"an": year, "cui": code, "deni": "", "caen": 0, "den_caen": "",
                    "i": []});
                Reply::new(JSON, none.to_string())
            }
        };
        reply.codes = 1;
        reply
    }
}

/// The fixings of a file with their days.
fn cubes(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    file.split("<Cube date=\"").skip(1).map(move |rest| {
        let day = rest.get(..10).expect(VALID);
        let from = rest.as_ptr().addr() - file.as_ptr().addr() - "<Cube date=\"".len();
        let length = file[from..].find("</Cube>").expect(VALID) + "</Cube>".len();
        (day, &file[from..from + length])
    })
}

fn currencies(cube: &str) -> impl Iterator<Item = &str> {
    cube.split("currency=\"")
        .skip(1)
        .filter_map(|rest| rest.get(..3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Reply {
        Answers::load().reply(&Method::GET, path, b"")
    }

    fn text(reply: &Reply) -> String {
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn a_year_is_put_together_from_its_fixings() {
        let reply = get("/files/xml/years/nbrfxrates2017.xml");
        assert_eq!(text(&reply).matches("<Cube ").count(), 2);
        assert!(reply.samples.is_empty());
        let year = get("/files/xml/years/nbrfxrates2023.xml");
        assert!(year.samples.contains("2023-01-03"));
        assert!(!year.samples.contains("2023-11-17"));
        assert_eq!(
            text(&get("/files/xml/years/nbrfxrates2024.xml"))
                .matches("<Cube")
                .count(),
            0
        );
    }

    #[test]
    fn made_up_rates_of_the_newest_fixing_are_named() {
        let reply = get("/nbrfxrates.xml");
        assert!(reply.samples.contains("2026-08-28/CHF"));
        assert!(!reply.samples.contains("/EUR"));
        assert_eq!(
            text(&get("/nbrfxrates10days.xml"))
                .matches("<Cube ")
                .count(),
            10
        );
    }

    #[test]
    fn codes_are_answered_as_asked() {
        let ask = br#"[{"cui":38744563,"data":"2026-01-01"},{"cui":13548146},{"cui":10004}]"#;
        let reply = Answers::load().reply(&Method::POST, "/api/PlatitorTvaRest/v9/tva", ask);
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answer["found"].as_array().unwrap().len(), 2);
        assert_eq!(answer["notFound"], json!([10004]));
        assert_eq!((reply.samples.as_str(), reply.codes), ("13548146", 3));
    }

    #[test]
    fn too_many_codes_and_other_paths_are_refused() {
        let codes: Vec<Value> = (0..101).map(|code| json!({"cui": code})).collect();
        let body = Value::from(codes).to_string();
        let path = "/api/PlatitorTvaRest/v9/tva";
        let reply = Answers::load().reply(&Method::POST, path, body.as_bytes());
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(get("/").status, StatusCode::NOT_FOUND);
        assert_eq!(get("/bilant?an=x&cui=1").status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_year_without_balance_is_answered_as_the_tax_office_does() {
        assert!(text(&get("/bilant?an=2019&cui=38744563")).contains("174962"));
        assert!(text(&get("/bilant?an=2020&cui=38744563")).contains("\"i\":[]"));
    }
}
