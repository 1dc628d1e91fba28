//! [pure] The tax office's documents: from bytes to companies and balances, trusting nothing.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::record::{Balance, BalanceMeta, Company, Meta, VatOnCollection};
use crate::county;
use crate::cui::Cui;
use crate::text::{fold, present, with_commas};

/// The most codes that one request may ask for.
pub(crate) const MAX_CODES: usize = 100;
/// A full answer of a hundred companies is about 200 KB.
pub(crate) const MAX_BYTES: usize = 2 << 20;
/// Of a message about foreign text.
const MAX_MESSAGE: usize = 200;

/// Why bytes are not an answer of the tax office.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnafError {
    /// The web firewall's page, or another.
    #[error("a web page instead of data")]
    WebPage,
    /// Other JSON, or none.
    #[error("not the documented JSON ({0})")]
    Shape(String),
    /// It says itself that it failed.
    #[error("code {0}")]
    Code(i64),
    /// It answers what was not asked.
    #[error("an answer about another code than was asked")]
    NotAsked,
    /// It leaves out some of what was asked.
    #[error("codes are missing from the answer")]
    Missing,
}

/// The answer for a batch of codes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// What is registered.
    pub(crate) found: Vec<(Cui, Company)>,
    /// What is not.
    pub(crate) not_found: Vec<Cui>,
}

/// The body of a request about these codes on that day.
#[must_use]
pub(crate) fn request(codes: &[Cui], day: Date) -> Vec<u8> {
    let items = codes
        .iter()
        .map(|cui| serde_json::json!({"cui": cui.number(), "data": day.to_string()}))
        .collect();
    Value::Array(items).to_string().into_bytes()
}

#[derive(Deserialize)]
struct Envelope {
    cod: Option<i64>,
    found: Vec<Item>,
    #[serde(rename = "notFound", default)]
    not_found: Vec<u64>,
}

#[derive(Deserialize)]
struct Item {
    date_generale: General,
    #[serde(default)]
    #[serde(rename = "inregistrare_scop_Tva")]
    vat: Vat,
    #[serde(default)]
    #[serde(rename = "inregistrare_RTVAI")]
    on_collection: OnCollection,
    #[serde(default)]
    stare_inactiv: Inactive,
    #[serde(default)]
    adresa_sediu_social: Seat,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct General {
    cui: u64,
    denumire: String,
    #[serde(default)]
    adresa: String,
    #[serde(default)]
    nr_reg_com: String,
    #[serde(default)]
    telefon: String,
    #[serde(default)]
    fax: String,
    #[serde(default)]
    cod_postal: String,
    #[serde(default)]
    act: String,
    #[serde(default, rename = "stare_inregistrare")]
    stare: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vat {
    #[serde(rename = "scpTVA")]
    pays: bool,
    #[serde(rename = "perioade_TVA", deserialize_with = "one_or_many")]
    periods: Vec<Period>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Period {
    #[serde(rename = "data_inceput_ScpTVA")]
    from: String,
    #[serde(rename = "data_sfarsit_ScpTVA")]
    until: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OnCollection {
    data_inceput_tva_inc: String,
    data_sfarsit_tva_inc: String,
    data_actualizare_tva_inc: String,
    data_publicare_tva_inc: String,
    tip_act_tva_inc: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Inactive {
    data_radiere: String,
    status_inactivi: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Seat {
    #[serde(rename = "sdenumire_Judet")]
    county: String,
    #[serde(rename = "scod_Postal")]
    postal: String,
}

/// The document draws one object where the service sends an array.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Period>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Many(Vec<Period>),
        One(Period),
    }
    Ok(match Option::<Either>::deserialize(deserializer)? {
        Some(Either::Many(periods)) => periods,
        Some(Either::One(period)) => vec![period],
        None => Vec::new(),
    })
}

/// Reads the answer about `asked`; `at` is when it was given.
pub(crate) fn read_lookup(bytes: &[u8], asked: &[Cui], at: &str) -> Result<Lookup, AnafError> {
    let envelope: Envelope = read(bytes)?;
    if let Some(code) = envelope.cod.filter(|code| *code != 200) {
        return Err(AnafError::Code(code));
    }
    let asked: BTreeSet<Cui> = asked.iter().copied().collect();
    let known = |number: u64| {
        Cui::from_number(number)
            .ok()
            .filter(|cui| asked.contains(cui))
            .ok_or(AnafError::NotAsked)
    };
    let mut lookup = Lookup::default();
    for item in envelope.found {
        let cui = known(item.date_generale.cui)?;
        // Some registers answer an unknown code with an item of empty texts.
        match present(&item.date_generale.denumire) {
            Some(name) => lookup.found.push((cui, company(cui, name, &item, at))),
            None => lookup.not_found.push(cui),
        }
    }
    for number in envelope.not_found {
        lookup.not_found.push(known(number)?);
    }
    if lookup.found.len() + lookup.not_found.len() < asked.len() {
        return Err(AnafError::Missing);
    }
    Ok(lookup)
}

fn company(cui: Cui, denumire: String, item: &Item, at: &str) -> Company {
    let general = &item.date_generale;
    let stare = with_commas(&general.stare);
    let radiata =
        fold(&stare).starts_with("radiere") || present(&item.stare_inactiv.data_radiere).is_some();
    Company {
        cif: cui.to_string(),
        denumire,
        adresa: with_commas(&general.adresa),
        judet: present(&item.adresa_sediu_social.county)
            .map(|name| county::named(&name).map_or_else(|| name.clone(), str::to_owned)),
        cod_postal: present(&general.cod_postal)
            .or_else(|| present(&item.adresa_sediu_social.postal)),
        telefon: present(&general.telefon),
        fax: present(&general.fax),
        numar_reg_com: present(&general.nr_reg_com),
        radiata,
        stare,
        tva: vat_since(&item.vat),
        tva_la_incasare: on_collection(&item.on_collection).into_iter().collect(),
        impozit_profit: None,
        impozit_micro: None,
        accize: None,
        act_autorizare: present(&general.act),
        ultima_declaratie: None,
        ultima_prelucrare: None,
        meta: Meta {
            updated_at: at.to_owned(),
            inactive: item.stare_inactiv.status_inactivi,
            ..Meta::default()
        },
    }
}

/// The beginning of the open period; a payer without one is still a payer, since the last one known.
fn vat_since(vat: &Vat) -> Option<String> {
    if !vat.pays {
        return None;
    }
    let open = vat
        .periods
        .iter()
        .filter(|period| present(&period.until).is_none());
    let begins = open.filter_map(|period| present(&period.from)).max();
    let any = vat
        .periods
        .iter()
        .filter_map(|period| present(&period.from));
    begins.or_else(|| any.max())
}

fn on_collection(item: &OnCollection) -> Option<VatOnCollection> {
    let kind = present(&item.tip_act_tva_inc).unwrap_or_else(|| "Inregistrare".to_owned());
    Some(VatOnCollection {
        de_la: present(&item.data_inceput_tva_inc)?,
        tip: kind.chars().take(1).flat_map(char::to_uppercase).collect(),
        tip_descriere: kind,
        pana_la: present(&item.data_sfarsit_tva_inc),
        publicare: present(&item.data_publicare_tva_inc),
        actualizare: present(&item.data_actualizare_tva_inc),
    })
}

#[derive(Deserialize)]
struct Statement {
    an: i16,
    cui: u64,
    #[serde(default)]
    caen: Value,
    #[serde(default)]
    den_caen: String,
    i: Vec<Indicator>,
}

#[derive(Deserialize)]
struct Indicator {
    val_indicator: i64,
    val_den_indicator: String,
}

/// Our names, by the folded label. The number of an indicator depends on the kind of balance.
const LABELS: [(&str, &str); 20] = [
    ("active imobilizate - total", "active_imobilizate_total"),
    (
        "active circulante - total, din care:",
        "active_circulante_total",
    ),
    ("stocuri", "stocuri"),
    ("creante", "creante"),
    ("casa si conturi la banci", "casa_si_conturi"),
    ("cheltuieli in avans", "cheltuieli_in_avans"),
    ("datorii", "datorii_total"),
    ("venituri in avans", "venituri_in_avans"),
    ("provizioane", "provizioane"),
    ("capitaluri - total, din care:", "capitaluri_total"),
    ("capital subscris varsat", "capitaluri_capital"),
    ("patrimoniul regiei", "capitaluri_patrimoniul_regiei"),
    ("cifra de afaceri neta", "cifra_de_afaceri_neta"),
    ("venituri totale", "venituri_totale"),
    ("cheltuieli totale", "cheltuieli_totale"),
    ("profit brut", "profit_brut"),
    ("pierdere bruta", "pierdere_bruta"),
    ("profit net", "profit_net"),
    ("pierdere neta", "pierdere_neta"),
    ("numar mediu de salariati", "numar_mediu_de_salariati"),
];
/// Not among the published indicators.
const PUBLIC_ASSETS: &str = "capitaluri_patrimoniul_public";
/// The documented kind in which all labels above occur, and the word for any other.
const ORDINARY: &str = "UU";
const OTHER: &str = "ALT";

/// Reads the balance that was asked for; `None` when the office has none.
pub(crate) fn read_balance(
    bytes: &[u8],
    cui: Cui,
    year: i16,
    at: &str,
) -> Result<Option<Balance>, AnafError> {
    let statement: Statement = read(bytes)?;
    if statement.i.is_empty() {
        return Ok(None);
    }
    if statement.cui != cui.number() || statement.an != year {
        return Err(AnafError::NotAsked);
    }
    let value_of = |label: &str| {
        let mut all = statement.i.iter();
        all.find(|one| fold(&one.val_den_indicator) == label)
            .map(|one| one.val_indicator)
    };
    let mut data = Map::new();
    for (label, name) in LABELS {
        data.insert(name.to_owned(), value_of(label).into());
        if name == "capitaluri_patrimoniul_regiei" {
            data.insert(PUBLIC_ASSETS.to_owned(), Value::Null);
        }
    }
    let is_ordinary = LABELS.iter().all(|(label, _)| value_of(label).is_some());
    data.insert(
        "caen_descriere".to_owned(),
        with_commas(&statement.den_caen).into(),
    );
    data.insert("cif".to_owned(), cui.number().into());
    Ok(Some(Balance {
        year,
        balance_type: if is_ordinary { ORDINARY } else { OTHER }.to_owned(),
        caen_code: match &statement.caen {
            Value::Number(code) => code.to_string(),
            Value::String(code) => code.trim().to_owned(),
            _ => String::new(),
        },
        data,
        meta: BalanceMeta {
            updated_at: at.to_owned(),
            ..BalanceMeta::default()
        },
    }))
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, AnafError> {
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Err(AnafError::WebPage);
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let text: String = error.to_string().chars().take(MAX_MESSAGE).collect();
        AnafError::Shape(text)
    })
}

#[cfg(test)]
mod tests;
