//! [pure] The bodies that the companies service answers.

use serde::Serialize;
use serde_json::{Map, Value};

/// One company, in the shape of OpenAPI.ro.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Company {
    /// Digits without `RO`.
    pub(crate) cif: String,
    /// Name.
    pub(crate) denumire: String,
    /// Address in one line.
    pub(crate) adresa: String,
    /// County with diacritics.
    pub(crate) judet: Option<String>,
    /// Postal code.
    pub(crate) cod_postal: Option<String>,
    /// Telephone.
    pub(crate) telefon: Option<String>,
    /// Fax.
    pub(crate) fax: Option<String>,
    /// Number in the trade register.
    pub(crate) numar_reg_com: Option<String>,
    /// Struck off.
    pub(crate) radiata: bool,
    /// State in words.
    pub(crate) stare: String,
    /// Since when it pays VAT; `None` when it does not.
    pub(crate) tva: Option<String>,
    /// VAT on collection.
    pub(crate) tva_la_incasare: Vec<VatOnCollection>,
    /// Profit tax since; not told by the present source, like the five below.
    pub(crate) impozit_profit: Option<String>,
    /// Tax on micro-companies since.
    pub(crate) impozit_micro: Option<String>,
    /// Excise since.
    pub(crate) accize: Option<String>,
    /// Authorising act.
    pub(crate) act_autorizare: Option<String>,
    /// Last declaration.
    pub(crate) ultima_declaratie: Option<String>,
    /// Last processing.
    pub(crate) ultima_prelucrare: Option<String>,
    /// About the record itself.
    pub(crate) meta: Meta,
}

/// A period of VAT on collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct VatOnCollection {
    /// `I` registration, `R` removal.
    pub(crate) tip: String,
    /// The same in words.
    pub(crate) tip_descriere: String,
    /// From.
    pub(crate) de_la: String,
    /// Until; open when `None`.
    pub(crate) pana_la: Option<String>,
    /// When it was published.
    pub(crate) publicare: Option<String>,
    /// When it was entered.
    pub(crate) actualizare: Option<String>,
}

/// About a record: how old it is and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Meta {
    /// When the source was asked: ISO date and time with microseconds, UTC without a zone.
    pub(crate) updated_at: String,
    /// When it was first seen different; unknown until it changes.
    pub(crate) last_changed_at: Option<String>,
    /// Declared inactive by the tax office.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) inactive: bool,
    /// The marks of the answer.
    #[serde(flatten)]
    pub(crate) marks: Marks,
}

/// What a reader must know beside the data; absent when false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Marks {
    /// Recorded earlier, not fetched from the institution now.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) recorded: bool,
    /// Made up, to show the shape.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) sample: bool,
    /// Older than it should be: the source does not answer.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) stale: bool,
}

/// The balance of one year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Balance {
    /// Year.
    pub(crate) year: i16,
    /// Kind of balance, from the labels of its indicators.
    pub(crate) balance_type: String,
    /// Activity code.
    pub(crate) caen_code: String,
    /// Whole RON by name, with `caen_descriere` and `cif`.
    pub(crate) data: Map<String, Value>,
    /// About the record.
    pub(crate) meta: BalanceMeta,
}

/// About a balance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BalanceMeta {
    /// When the source was asked.
    pub(crate) updated_at: String,
    /// The marks of the answer.
    #[serde(flatten)]
    pub(crate) marks: Marks,
}

/// A company as the search answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Hit {
    /// Digits without `RO`.
    pub(crate) cif: String,
    /// Name.
    pub(crate) denumire: String,
    /// County with diacritics.
    pub(crate) judet: Option<String>,
    /// Where the whole record is.
    pub(crate) url: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}
