//! [pure] The bodies that the companies service answers.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::register::{Firm, Register};

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

/// What the trade register's open data say of a firm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// Digits without `RO`.
    pub(crate) cif: String,
    /// Name.
    pub(crate) denumire: String,
    /// Number in the trade register.
    pub(crate) numar_reg_com: String,
    /// European identifier, which follows from the number.
    pub(crate) euid: String,
    /// Day of registration, ISO.
    pub(crate) data_inmatriculare: Option<String>,
    /// SRL, SA, …
    pub(crate) forma_juridica: Option<String>,
    /// County with diacritics.
    pub(crate) judet: Option<String>,
    /// Town or village.
    pub(crate) localitate: Option<String>,
    /// Street and what follows.
    pub(crate) adresa: Option<String>,
    /// Postal code.
    pub(crate) cod_postal: Option<String>,
    /// Web page.
    pub(crate) web: Option<String>,
    /// Country of the firm that it belongs to.
    pub(crate) tara_firma_mama: Option<String>,
    /// Active, and neither struck off nor in insolvency or liquidation.
    pub(crate) activa: bool,
    /// Struck off.
    pub(crate) radiata: bool,
    /// Its states.
    pub(crate) stare: Vec<Coded>,
    /// Authorised activities.
    pub(crate) caen: Vec<Coded>,
    /// About the register.
    pub(crate) meta: EntryMeta,
}

/// A code and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Coded {
    /// Code; of an activity four digits.
    pub(crate) cod: String,
    /// Of an activity: which list of activities the code is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) versiune: Option<u8>,
    /// What it means, where the open data say it.
    pub(crate) denumire: Option<String>,
}

/// About the register that an entry is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct EntryMeta {
    /// When the register was imported.
    pub(crate) imported_at: String,
}

impl Entry {
    pub(crate) fn of(firm: Firm, register: &Register) -> Self {
        let states = firm.states.iter().map(|code| Coded {
            cod: code.to_string(),
            versiune: None,
            denumire: register.state(*code).map(str::to_owned),
        });
        let activities = firm.activities.iter().map(|(code, version)| Coded {
            cod: format!("{code:04}"),
            versiune: Some(*version),
            denumire: register.activity(*code, *version).map(str::to_owned),
        });
        Self {
            cif: firm.cui.to_string(),
            euid: format!("ROONRC.{}", firm.number),
            judet: firm.county_name().map(str::to_owned),
            activa: firm.is_active(),
            radiata: firm.is_struck_off(),
            stare: states.collect(),
            caen: activities.collect(),
            meta: EntryMeta {
                imported_at: register.created().to_owned(),
            },
            denumire: firm.name,
            numar_reg_com: firm.number,
            data_inmatriculare: firm.registered,
            forma_juridica: firm.form,
            localitate: firm.locality,
            adresa: firm.address,
            cod_postal: firm.postal,
            web: firm.web,
            tara_firma_mama: firm.parent_country,
        }
    }
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
