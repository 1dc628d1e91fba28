//! [pure] The bodies that the companies service answers.

use serde::Serialize;
use serde_json::{Map, Value};

/// One company, in the shape of OpenAPI.ro.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Company {
    /// Digits without `RO`.
    pub cif: String,
    /// Name.
    pub denumire: String,
    /// Address in one line.
    pub adresa: String,
    /// County with diacritics.
    pub judet: Option<String>,
    /// Postal code.
    pub cod_postal: Option<String>,
    /// Telephone.
    pub telefon: Option<String>,
    /// Fax.
    pub fax: Option<String>,
    /// Number in the trade register.
    pub numar_reg_com: Option<String>,
    /// Struck off.
    pub radiata: bool,
    /// State in words.
    pub stare: String,
    /// Since when it pays VAT; `None` when it does not.
    pub tva: Option<String>,
    /// VAT on collection.
    pub tva_la_incasare: Vec<VatOnCollection>,
    /// Profit tax since; not told by the present source, like the five below.
    pub impozit_profit: Option<String>,
    /// Tax on micro-companies since.
    pub impozit_micro: Option<String>,
    /// Excise since.
    pub accize: Option<String>,
    /// Authorising act.
    pub act_autorizare: Option<String>,
    /// Last declaration.
    pub ultima_declaratie: Option<String>,
    /// Last processing.
    pub ultima_prelucrare: Option<String>,
    /// About the record itself.
    pub meta: Meta,
}

/// A period of VAT on collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VatOnCollection {
    /// `I` registration, `R` removal.
    pub tip: String,
    /// The same in words.
    pub tip_descriere: String,
    /// From.
    pub de_la: String,
    /// Until; open when `None`.
    pub pana_la: Option<String>,
    /// When it was published.
    pub publicare: Option<String>,
    /// When it was entered.
    pub actualizare: Option<String>,
}

/// About a record: how old it is and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// When the source was asked: ISO date and time with microseconds, UTC without a zone.
    pub updated_at: String,
    /// When it was first seen different; unknown until it changes.
    pub last_changed_at: Option<String>,
    /// Declared inactive by the tax office.
    #[serde(skip_serializing_if = "is_false")]
    pub inactive: bool,
    /// The marks of the answer.
    #[serde(flatten)]
    pub marks: Marks,
}

/// What a reader must know beside the data; absent when false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Marks {
    /// Recorded earlier, not fetched from the institution now.
    #[serde(skip_serializing_if = "is_false")]
    pub recorded: bool,
    /// Made up, to show the shape.
    #[serde(skip_serializing_if = "is_false")]
    pub sample: bool,
    /// Older than it should be: the source does not answer.
    #[serde(skip_serializing_if = "is_false")]
    pub stale: bool,
}

/// The balance of one year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Year.
    pub year: i16,
    /// Kind of balance, from the labels of its indicators.
    pub balance_type: String,
    /// Activity code.
    pub caen_code: String,
    /// Whole RON by name, with `caen_descriere` and `cif`.
    pub data: Map<String, Value>,
    /// About the record.
    pub meta: BalanceMeta,
}

/// About a balance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BalanceMeta {
    /// When the source was asked.
    pub updated_at: String,
    /// The marks of the answer.
    #[serde(flatten)]
    pub marks: Marks,
}

/// A company as the search answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Digits without `RO`.
    pub cif: String,
    /// Name.
    pub denumire: String,
    /// County with diacritics.
    pub judet: Option<String>,
    /// Where the whole record is.
    pub url: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
const fn is_false(value: &bool) -> bool {
    !*value
}
