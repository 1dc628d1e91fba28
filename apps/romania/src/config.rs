//! What an operator can set for the Romanian services.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use taraf_base::Timestamp;

use crate::register::{Live, RegisterError};

/// Settings of the services `companies`, `rates` and `validate`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The tax office's web services.
    pub anaf_base_url: String,
    /// The National Bank's files.
    pub bnr_base_url: String,
    /// Between the starts of two requests to the tax office, which allows one a second.
    #[serde(with = "taraf_base::duration::serde")]
    pub anaf_interval: Duration,
    /// How long a source may take for one answer.
    #[serde(with = "taraf_base::duration::serde")]
    pub source_timeout: Duration,
    /// How long a company is answered from memory before the tax office is asked again.
    #[serde(with = "taraf_base::duration::serde")]
    pub company_age: Duration,
    /// How long a code that the tax office does not know is not asked for again.
    #[serde(with = "taraf_base::duration::serde")]
    pub unknown_age: Duration,
    /// How long a balance, or its absence, is answered from memory.
    #[serde(with = "taraf_base::duration::serde")]
    pub balance_age: Duration,
    /// How old a company or balance may be when it is answered, marked, because the source fails.
    #[serde(with = "taraf_base::duration::serde")]
    pub stale_age: Duration,
    /// Where the services keep what must survive; without it nothing does.
    #[serde(skip)]
    pub folder: Option<PathBuf>,
    /// Which trade register is searched.
    pub register: Register,
    /// Fiscal codes that are looked up, with their balances, soon after the start.
    pub warm: Vec<String>,
    /// The clock; a test moves its own.
    #[serde(skip, default = "system_clock")]
    pub clock: fn() -> Timestamp,
}

/// Which trade register is searched.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Register {
    /// None: only companies that were looked up are found.
    None,
    /// The few firms that come with the program.
    Sample,
    /// The one that was imported into the data folder, and until then the sample.
    #[default]
    Imported,
}

impl Config {
    /// The register that is searched.
    pub(crate) fn live_register(&self) -> Result<Live, RegisterError> {
        match (self.register, &self.folder) {
            (Register::None, _) => Ok(Live::none()),
            (Register::Imported, Some(folder)) => Live::of_folder(folder),
            (Register::Sample | Register::Imported, _) => Live::sample(),
        }
    }
}

fn system_clock() -> fn() -> Timestamp {
    Timestamp::now
}

impl Default for Config {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            anaf_base_url: "https://webservicesp.anaf.ro".to_owned(),
            bnr_base_url: "https://curs.bnr.ro".to_owned(),
            // A little over a second: what leaves a second apart may arrive closer.
            anaf_interval: Duration::from_millis(1_050),
            source_timeout: Duration::from_secs(10),
            company_age: 24 * HOUR,
            unknown_age: HOUR,
            balance_age: 24 * HOUR,
            stale_age: 30 * 24 * HOUR,
            folder: None,
            register: Register::default(),
            warm: Vec::new(),
            clock: Timestamp::now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_default_and_a_misspelt_one_is_refused() {
        let config: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(config.anaf_base_url, "https://webservicesp.anaf.ro");
        assert_eq!(config.register, Register::Imported);
        assert!(serde_json::from_str::<Config>(r#"{"anaf_url":"x"}"#).is_err());
        let config = r#"{"anaf_interval":"2s","register":"none"}"#;
        let config: Config = serde_json::from_str(config).unwrap();
        assert_eq!(config.anaf_interval, Duration::from_secs(2));
        assert_eq!(config.register, Register::None);
    }
}
