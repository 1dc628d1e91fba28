//! Reading the configuration: the file, then the environment, with errors that say where.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, suggest};

/// Variables that begin so and name a section and a key override the file.
const PREFIX: &str = "TARAF_";

/// Between the section and the key.
const SEPARATOR: &str = "__";

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}:{line}:{column}: {message}", path.display())]
    File {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
    #[error("environment variable {name}: {message}")]
    Variable { name: String, message: String },
}

impl Config {
    /// Reads the file at `path` and lets `TARAF_SECTION__KEY` variables override it.
    pub(crate) fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::read(path, &text, environment)
    }

    /// The defaults, overridden by `TARAF_SECTION__KEY` variables.
    pub(crate) fn from_environment(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        Self::read(Path::new("taraf.toml"), "", environment)
    }

    fn read(
        path: &Path,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let refused = |error: toml::de::Error| file_error(path, text, &error);
        // From the text itself, so that an error knows its line.
        let mut config: Self = toml::from_str(text).map_err(refused)?;
        let mut table: Table = toml::from_str(text).map_err(refused)?;
        for (name, value) in overrides(environment) {
            config = put(&mut table, &name, &value)?;
        }
        config.resolve(path.parent().unwrap_or_else(|| Path::new(".")));
        Ok(config)
    }

    /// Relative paths start at the file that names them.
    fn resolve(&mut self, base: &Path) {
        let fixed = [
            &mut self.data.dir,
            &mut self.operator.token_file,
            &mut self.apps.folder,
        ];
        let secrets = self.secret_files.values_mut();
        let issuers = self.gateway.auth.jwt.values_mut();
        let keys = issuers.filter_map(|issuer| issuer.jwks_file.as_mut());
        let tls = self.gateway.tls.iter_mut();
        let tls = tls.flat_map(|tls| {
            let pairs = tls.certificates.iter_mut();
            let files = pairs.flat_map(|pair| [&mut pair.certificate, &mut pair.key]);
            files.chain(&mut tls.client_ca)
        });
        let roots = self.client.root_certificates.iter_mut();
        let gossip = self.gossip.files();
        let updates = self.dns.update.values_mut();
        let updates = updates.filter_map(|update| update.key_file.as_mut());
        let files = secrets.chain(keys).chain(tls).chain(roots);
        let files = files.chain(gossip).chain(updates);
        for path in fixed.into_iter().flatten().chain(files) {
            *path = base.join(&*path);
        }
    }
}

/// The variables that speak to us, in a stable order.
fn overrides(environment: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let ours = |name: &str| {
        name.strip_prefix(PREFIX)
            .is_some_and(|rest| rest.contains(SEPARATOR))
    };
    let mut variables: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| ours(name))
        .collect();
    variables.sort();
    variables
}

/// Puts one variable into the table: as the TOML value it spells or, failing that, as text.
fn put(table: &mut Table, name: &str, text: &str) -> Result<Config, Error> {
    let keys: Vec<String> = name
        .trim_start_matches(PREFIX)
        .split(SEPARATOR)
        .map(str::to_ascii_lowercase)
        .collect();
    let spelled = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"));
    let mut refused = None;
    for value in spelled.into_iter().chain([Value::String(text.to_owned())]) {
        let mut changed = table.clone();
        insert(&mut changed, &keys, value).map_err(|message| Error::Variable {
            name: name.to_owned(),
            message,
        })?;
        // By way of text: reading from a table would be a second copy of the whole reader's code.
        match toml::from_str::<Config>(&changed.to_string()) {
            Ok(config) => {
                *table = changed;
                return Ok(config);
            }
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
    }
    let message = refused.map_or_else(String::new, |error| explain(error.message()));
    Err(Error::Variable {
        name: name.to_owned(),
        message,
    })
}

fn insert(table: &mut Table, keys: &[String], value: Value) -> Result<(), String> {
    match keys {
        [] => Ok(()),
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => {
            let inner = table
                .entry(section.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            match inner {
                Value::Table(inner) => insert(inner, rest, value),
                _ => Err(format!("`{section}` is not a section")),
            }
        }
    }
}

fn file_error(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Error::File {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: explain(error.message()),
    }
}

/// The reader's message in one line, with the nearest known name where a name is unknown.
fn explain(message: &str) -> String {
    let message = message.trim_end().replace('\n', ", ");
    if !message.starts_with("unknown ") {
        return message;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let suggestion = names
        .next()
        .and_then(|written| suggest::nearest(written, names));
    match suggestion {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message,
    }
}
