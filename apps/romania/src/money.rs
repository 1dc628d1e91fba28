//! [pure] Exact decimals: rates per one unit, and conversion that rounds once.

use rust_decimal::Decimal;

/// Amounts and results have at most this many digits, far more than any economy needs.
const MAX_DIGITS: usize = 18;
/// BNR quotes 4 decimals, per 100 units at most; amounts have fewer.
const MAX_SCALE: usize = 8;
/// Money is rounded to hundredths.
const CENTS: u32 = 2;

/// Why a decimal cannot be used or computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not plain digits with perhaps a sign and a point.
    #[error("not a decimal number such as 1234.56")]
    NotDecimal,
    /// More digits than are computed exactly.
    #[error("more than {MAX_DIGITS} digits, or more than {MAX_SCALE} behind the point")]
    TooLong,
    /// A rate is zero or below, or for a number of units that is no power of ten.
    #[error("not a usable rate")]
    BadRate,
}

/// Reads plain decimal notation; exponents, thousands separators and blanks are refused.
pub fn parse(text: &str) -> Result<Decimal, MoneyError> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if !plain(whole) || !(plain(fraction) || whole == unsigned) {
        return Err(MoneyError::NotDecimal);
    }
    if whole.len() + fraction.len() > MAX_DIGITS || fraction.len() > MAX_SCALE {
        return Err(MoneyError::TooLong);
    }
    text.parse().map_err(|_too_large| MoneyError::TooLong)
}

/// What one unit costs when `value` is the price of `units`: exact, all digits kept.
pub fn per_unit(value: Decimal, units: u32) -> Result<Decimal, MoneyError> {
    if value <= Decimal::ZERO {
        return Err(MoneyError::BadRate);
    }
    let shift = units.checked_ilog10().ok_or(MoneyError::BadRate)?;
    if 10_u32.pow(shift) != units {
        return Err(MoneyError::BadRate);
    }
    let scale = value.scale() + shift;
    if usize::try_from(scale).is_ok_and(|scale| scale > MAX_SCALE) {
        return Err(MoneyError::TooLong);
    }
    let mut one = value;
    one.set_scale(scale)
        .map_err(|_over_28| MoneyError::TooLong)?;
    Ok(one)
}

/// `amount * from / to` where both rates are RON for one unit; rounded once, half away from zero,
/// to hundredths.
///
/// The quotient is one of whole numbers: no digit is lost before the rounding.
pub fn convert(amount: Decimal, from: Decimal, to: Decimal) -> Result<Decimal, MoneyError> {
    if from <= Decimal::ZERO || to <= Decimal::ZERO {
        return Err(MoneyError::BadRate);
    }
    let exact = || {
        let above = amount
            .mantissa()
            .checked_mul(from.mantissa())?
            .checked_mul(10_i128.checked_pow(CENTS + to.scale())?)?;
        let below = to
            .mantissa()
            .checked_mul(10_i128.checked_pow(amount.scale() + from.scale())?)?;
        let (quotient, rest) = (above.checked_div(below)?, above.checked_rem(below)?);
        let away = if rest.unsigned_abs().checked_mul(2)? >= below.unsigned_abs() {
            above.signum()
        } else {
            0
        };
        let cents = quotient.checked_add(away)?;
        Decimal::try_from_i128_with_scale(cents, CENTS).ok()
    };
    exact().ok_or(MoneyError::TooLong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::RoundingStrategy;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        parse(text).expect(text)
    }

    fn check(amount: &str, from: &str, to: &str, expected: &str) {
        let result = convert(decimal(amount), decimal(from), decimal(to)).unwrap();
        assert_eq!(result.to_string(), expected);
    }

    #[test]
    fn a_turnover_is_converted_at_the_year_end_rate() {
        check("174962", "1", "4.7793", "36608.29");
        check("5123456789", "1", "4.9711", "1030648506.17");
        check("100.00", "4.9711", "1", "497.11");
        check("1000", "0.013180", "4.9711", "2.65");
    }

    #[test]
    fn halves_go_away_from_zero() {
        check("0.01", "1", "2", "0.01");
        check("-0.01", "1", "2", "-0.01");
        check("0.01", "1", "2.0001", "0.00");
        check("1.005", "1", "1", "1.01");
        check("-1.005", "1", "1", "-1.01");
    }

    #[test]
    fn a_rate_for_a_hundred_units_keeps_all_its_digits() {
        let rate = per_unit(decimal("1.3180"), 100).unwrap();
        assert_eq!(rate.to_string(), "0.013180");
        assert_eq!(
            per_unit(decimal("4.9711"), 1).unwrap().to_string(),
            "4.9711"
        );
        assert_eq!(per_unit(decimal("1"), 0), Err(MoneyError::BadRate));
        assert_eq!(per_unit(decimal("1"), 30), Err(MoneyError::BadRate));
        assert_eq!(per_unit(decimal("0.0"), 1), Err(MoneyError::BadRate));
    }

    #[test]
    fn only_plain_decimals_are_read() {
        for text in [
            "", "-", ".", "1.", ".5", "1e3", "+1", " 1", "1,5", "NaN", "٣", "--1",
        ] {
            assert_eq!(parse(text), Err(MoneyError::NotDecimal), "{text}");
        }
        assert_eq!(parse("1234567890123456789"), Err(MoneyError::TooLong));
        assert_eq!(parse("0.123456789"), Err(MoneyError::TooLong));
        assert_eq!(decimal("-12.50").to_string(), "-12.50");
    }

    #[test]
    fn what_does_not_fit_is_refused_not_rounded() {
        let huge = decimal("999999999999999999");
        assert_eq!(
            convert(huge, decimal("9999999999.99999999"), decimal("0.00000001")),
            Err(MoneyError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn conversion_agrees_with_division_to_28_digits(
            amount in -1_000_000_000_000_i64..1_000_000_000_000, from in 1_i64..10_000_000,
            to in 1_i64..10_000_000,
        ) {
            let (amount, from, to) =
                (Decimal::new(amount, 2), Decimal::new(from, 4), Decimal::new(to, 4));
            let expected = (amount * from / to)
                .round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
            prop_assert_eq!(convert(amount, from, to).unwrap(), expected);
        }

        #[test]
        fn any_text_is_answered(text in "-?[0-9.]{0,20}|.{0,10}") {
            if let Ok(value) = parse(&text) {
                prop_assert_eq!(parse(&value.to_string()), Ok(value));
            }
        }
    }
}
