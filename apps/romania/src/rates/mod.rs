//! Exchange rates of the National Bank: fetched, kept, found by day, converted exactly.

mod api;
mod archive;
mod driver;
mod feed;
mod kept;
mod schedule;
mod store;

pub(crate) use driver::start;
pub(crate) use schedule::today;

/// A file of the bank is an error or fixings that make sense, which are the same when they are kept.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8], today: jiff::civil::Date) {
    kept::fuzz(bytes);
    let Ok(cubes) = feed::parse(bytes, today) else {
        return;
    };
    for cube in &cubes {
        assert!(cube.date <= today);
        for (currency, rate) in &cube.rates {
            assert!(rate.is_sign_positive(), "{currency} {rate}");
            assert_eq!(cube.rate(*currency), Some(*rate), "{currency} twice");
        }
    }
    assert!(cubes.is_sorted_by(|one, other| one.date < other.date));
}
