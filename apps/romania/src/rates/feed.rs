//! [pure] The files of the National Bank: from bytes to fixings, trusting nothing.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use jiff::civil::Date;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use rust_decimal::Decimal;

use crate::money;

/// No file of the bank is near this size.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// A year has some 250 fixings.
const MAX_CUBES: usize = 400;
/// Some 40 currencies are quoted.
const MAX_RATES: usize = 200;
const MAX_DEPTH: usize = 16;
const BASE_CURRENCY: &str = "RON";
/// How old archives write a value that is missing.
const MISSING: &str = "-";

/// A currency's three letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Currency([u8; 3]);

impl Currency {
    /// The currency in which all rates are quoted.
    pub(crate) const RON: Self = Self(*b"RON");

    /// Reads three letters of either case.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters
            .iter()
            .all(u8::is_ascii_alphabetic)
            .then(|| Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }

    /// The three capitals.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters")
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rates of one day: RON for one unit of each currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cube {
    /// The day they were fixed.
    pub(crate) date: Date,
    /// In the order of the file.
    pub(crate) rates: Vec<(Currency, Decimal)>,
}

impl Cube {
    /// RON for one unit.
    #[must_use]
    pub(crate) fn rate(&self, wanted: Currency) -> Option<Decimal> {
        if wanted == Currency::RON {
            return Some(Decimal::ONE);
        }
        self.rates
            .iter()
            .find_map(|(currency, rate)| (*currency == wanted).then_some(*rate))
    }
}

/// Why bytes are not a file of the bank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FeedError {
    /// Over [`MAX_BYTES`].
    #[error("the file is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// A document type, entity or processing instruction: no honest file has one.
    #[error("the file has a {0}, which is refused")]
    Refused(&'static str),
    /// Another document, perhaps a web page.
    #[error("the document is `{0}`, not the data set of the bank")]
    NotDataSet(String),
    /// Broken XML, or cut.
    #[error("the XML is broken: {0}")]
    Broken(String),
    /// More than any honest file has.
    #[error("the file has too many {0}")]
    TooMany(&'static str),
    /// A value that is not what it must be.
    #[error("bad {what} `{value}`")]
    Bad {
        /// Which one.
        what: &'static str,
        /// As written, cut.
        value: String,
    },
    /// A fixing of tomorrow.
    #[error("the fixing of {0} lies in the future")]
    Future(Date),
    /// Two fixings for one day, or two rates for one currency.
    #[error("`{0}` is there twice")]
    Twice(String),
}

/// Reads a file of the bank as of `today`. In order of days; empty for a year that has just begun.
pub(crate) fn parse(bytes: &[u8], today: Date) -> Result<Vec<Cube>, FeedError> {
    if bytes.len() > MAX_BYTES {
        return Err(FeedError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_not_utf8| FeedError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().trim_text(true);
    let mut reading = Reading::new(today);
    loop {
        match reader.read_event().map_err(broken)? {
            Event::Start(element) => reading.open(&element, false)?,
            Event::Empty(element) => {
                reading.open(&element, true)?;
                reading.close()?;
            }
            Event::End(_) => reading.close()?,
            Event::Text(text) => reading.text(&text.xml10_content())?,
            Event::CData(text) => reading.text(&text.xml10_content())?,
            Event::DocType(_) => return Err(FeedError::Refused("document type")),
            Event::GeneralRef(_) => return Err(FeedError::Refused("reference to an entity")),
            Event::PI(_) => return Err(FeedError::Refused("processing instruction")),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof => return reading.finish(),
        }
    }
}

fn broken(error: impl std::fmt::Display) -> FeedError {
    FeedError::Broken(error.to_string())
}

/// Where the reader is. Elements are known by their local names: the bank has changed its namespace.
struct Reading {
    today: Date,
    path: Vec<String>,
    seen_root: bool,
    cubes: BTreeMap<Date, Cube>,
    cube: Option<Cube>,
    rate: Option<(Currency, u32, String)>,
}

impl Reading {
    const fn new(today: Date) -> Self {
        Self {
            today,
            path: Vec::new(),
            seen_root: false,
            cubes: BTreeMap::new(),
            cube: None,
            rate: None,
        }
    }

    fn open(&mut self, element: &BytesStart<'_>, empty: bool) -> Result<(), FeedError> {
        let name = element.local_name().as_ref().to_owned();
        if self.path.is_empty() && (self.seen_root || name != "DataSet") {
            return Err(FeedError::NotDataSet(cut(&name)));
        }
        self.seen_root = true;
        if self.path.len() >= MAX_DEPTH {
            return Err(FeedError::TooMany("nested elements"));
        }
        match (name.as_str(), &self.cube, &self.rate) {
            ("Cube", None, _) => self.cube = Some(self.begin_cube(element)?),
            ("Rate", Some(_), None) if !empty => self.rate = Some(begin_rate(element)?),
            ("Cube" | "Rate", ..) => return Err(bad("place of", &name)),
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    fn begin_cube(&self, element: &BytesStart<'_>) -> Result<Cube, FeedError> {
        if self.cubes.len() >= MAX_CUBES {
            return Err(FeedError::TooMany("fixings"));
        }
        let text = attribute(element, "date")?.ok_or_else(|| bad("date", ""))?;
        let date: Date = text
            .parse()
            .map_err(|_not_a_date: jiff::Error| bad("date", &text))?;
        if date > self.today {
            return Err(FeedError::Future(date));
        }
        if self.cubes.contains_key(&date) {
            return Err(FeedError::Twice(date.to_string()));
        }
        Ok(Cube {
            date,
            rates: Vec::new(),
        })
    }

    fn text(&mut self, text: &str) -> Result<(), FeedError> {
        let inside = self.path.last().map(String::as_str);
        if let Some((_, _, value)) = &mut self.rate {
            value.push_str(text);
        } else if inside == Some("OrigCurrency") && text.trim() != BASE_CURRENCY {
            return Err(bad("currency of origin", text));
        } else if inside.is_none() && !text.trim().is_empty() {
            return Err(FeedError::Broken("text outside the document".to_owned()));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), FeedError> {
        let name = self.path.pop().unwrap_or_default();
        match name.as_str() {
            "Rate" => self.end_rate(),
            "Cube" => {
                if let Some(cube) = self.cube.take() {
                    self.cubes.insert(cube.date, cube);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end_rate(&mut self) -> Result<(), FeedError> {
        let (Some(cube), Some((currency, units, value))) = (&mut self.cube, self.rate.take())
        else {
            return Ok(());
        };
        let value = value.trim();
        if value == MISSING {
            return Ok(());
        }
        if cube.rates.len() >= MAX_RATES {
            return Err(FeedError::TooMany("rates"));
        }
        if cube.rate(currency).is_some() {
            return Err(FeedError::Twice(currency.to_string()));
        }
        let rate = money::parse(value)
            .and_then(|value| money::per_unit(value, units))
            .map_err(|_unusable| bad("rate", value))?;
        cube.rates.push((currency, rate));
        Ok(())
    }

    fn finish(self) -> Result<Vec<Cube>, FeedError> {
        if !self.seen_root {
            return Err(FeedError::NotDataSet("nothing".to_owned()));
        }
        if let Some(open) = self.path.last() {
            return Err(FeedError::Broken(format!("cut inside `{open}`")));
        }
        Ok(self.cubes.into_values().collect())
    }
}

fn begin_rate(element: &BytesStart<'_>) -> Result<(Currency, u32, String), FeedError> {
    let code = attribute(element, "currency")?.unwrap_or_default();
    let currency = Currency::parse(&code).ok_or_else(|| bad("currency", &code))?;
    let units = match attribute(element, "multiplier")? {
        None => 1,
        Some(text) => text
            .parse()
            .map_err(|_not_a_number: std::num::ParseIntError| bad("multiplier", &text))?,
    };
    Ok((currency, units, String::new()))
}

fn attribute(element: &BytesStart<'_>, wanted: &str) -> Result<Option<String>, FeedError> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(broken)?;
        if attribute.key.local_name().as_ref() == wanted {
            return Ok(Some(attribute.value.into_owned()));
        }
    }
    Ok(None)
}

fn bad(what: &'static str, value: &str) -> FeedError {
    FeedError::Bad {
        what,
        value: cut(value),
    }
}

/// Foreign text in a message stays short.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests;
