//! What the fuzz targets call: the readers of foreign bytes, which nobody else may call.

use jiff::civil::{Date, date};

use crate::companies::fuzz as companies_of;
use crate::rates::fuzz as rates_of;
use crate::register::fuzz as register_of;

const TODAY: Date = date(2026, 11, 22);

/// A file of the National Bank.
pub fn rates(bytes: &[u8]) {
    rates_of(bytes, TODAY);
}

/// An answer of the tax office.
pub fn companies(bytes: &[u8]) {
    companies_of(bytes);
}

/// A file of the trade register's open data.
pub fn rows(bytes: &[u8]) {
    register_of::rows(bytes);
}

/// A register file.
pub fn register(bytes: &[u8]) {
    register_of::file(bytes);
}
