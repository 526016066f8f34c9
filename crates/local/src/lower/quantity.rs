//! Kubernetes' resource quantities (`500m`, `1.5Gi`, `1e3`), exactly: no floating point.

/// Largest value that Kubernetes keeps: 2⁶³ − 1 units.
const LARGEST: u128 = i64::MAX as u128;

const NANO: u128 = 1_000_000_000;

/// More digits than any sensible quantity has; the product of digits and unit stays inside `u128`.
const DIGITS_LIMIT: usize = 28;

/// A quantity that is not negative, in billionths, rounded up as Kubernetes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nanos: u128,
}

impl Quantity {
    /// One unit.
    pub const ONE: Self = Self { nanos: NANO };

    /// Whole units, rounded up: bytes.
    pub fn units(self) -> u64 {
        // At most `LARGEST`, which fits.
        u64::try_from(self.nanos.div_ceil(NANO)).unwrap_or(u64::MAX)
    }

    /// Thousandths, rounded up: milli-CPUs. At most `u64::MAX`.
    pub fn millis(self) -> u64 {
        u64::try_from(self.nanos.div_ceil(NANO / 1000)).unwrap_or(u64::MAX)
    }

    /// How often `divisor` goes into it, rounded up, as `resourceFieldRef` counts. `None` for a zero divisor.
    pub fn divided_by(self, divisor: Self) -> Option<u128> {
        (divisor.nanos != 0).then(|| self.nanos.div_ceil(divisor.nanos))
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    /// `<digits>[.<digits>][suffix]` with a decimal suffix (n u m k M G T P E), a binary one (Ki … Ei) or an
    /// exponent (e3, E-2): apimachinery's `resource.Quantity`.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError { text: text.chars().take(40).collect() };
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        let end = unsigned.find(|character: char| !character.is_ascii_digit() && character != '.');
        let (number, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        let plain = !digits.is_empty() && digits.len() <= DIGITS_LIMIT && !fraction.contains('.');
        let (binary, decimal) = scale(suffix).filter(|_| plain).ok_or_else(error)?;
        let mantissa: u128 = digits.parse().map_err(|_| error())?;
        let fraction_digits = i32::try_from(fraction.len()).map_err(|_| error())?;
        let nanos = times(mantissa, binary, decimal - fraction_digits + 9).ok_or_else(error)?;
        if nanos > LARGEST * NANO {
            return Err(error());
        }
        Ok(Self { nanos })
    }
}

/// Not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a quantity; write 500m, 0.5, 128Mi or 1G, not negative")]
pub struct QuantityError {
    text: String,
}

/// A suffix as (power of two, power of ten).
fn scale(suffix: &str) -> Option<(u32, i32)> {
    let exact = match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => return exponent(suffix).map(|power| (0, power)),
    };
    Some(exact)
}

fn exponent(suffix: &str) -> Option<i32> {
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let short = (1..=3).contains(&unsigned.len()) && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if short { digits.parse().ok() } else { None }
}

/// mantissa × 2^binary × 10^decimal, rounded up; `None` when it does not fit.
fn times(mantissa: u128, binary: u32, decimal: i32) -> Option<u128> {
    if mantissa == 0 {
        return Some(0);
    }
    let power = |exponent: u32| 10u128.checked_pow(exponent);
    if decimal >= 0 {
        return mantissa.checked_mul(1 << binary)?.checked_mul(power(decimal.unsigned_abs())?);
    }
    // Whatever is smaller than a billionth becomes one.
    let Some(divisor) = power(decimal.unsigned_abs()) else { return Some(1) };
    mantissa.checked_mul(1 << binary).map(|product| product.div_ceil(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, units: u64, millis: u64) {
        let quantity: Quantity = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((quantity.units(), quantity.millis()), (units, millis), "{text}");
    }

    #[test]
    fn quantities_are_exact_and_rounded_up() {
        check("500m", 1, 500);
        check("0.5", 1, 500);
        check(".5", 1, 500);
        check("2", 2, 2000);
        check("128Mi", 134_217_728, 134_217_728_000);
        check("1.5Gi", 1_610_612_736, 1_610_612_736_000);
        check("1e3", 1000, 1_000_000);
        check("1E3", 1000, 1_000_000);
        check("1E", 1_000_000_000_000_000_000, u64::MAX);
        check("25E-3", 1, 25);
        check("100n", 1, 1);
        check("0", 0, 0);
        check("0.000000000001", 1, 1);
        check("+1k", 1000, 1_000_000);
        check("1e-300", 1, 1);
    }

    #[test]
    fn what_is_none_is_refused() {
        for wrong in [
            "",
            ".",
            "-1",
            "1.2.3",
            "1 Gi",
            "1gi",
            "1KiB",
            "1e",
            "e3",
            "8Ei",
            "1e400",
            "0x10",
            "1MiB",
            &"9".repeat(99),
        ] {
            assert!(wrong.parse::<Quantity>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whole_bytes_come_back(bytes in 0u64..=i64::MAX as u64) {
            prop_assert_eq!(bytes.to_string().parse::<Quantity>().unwrap().units(), bytes);
        }

        #[test]
        fn binary_suffixes_are_shifts(number in 0u64..1 << 20) {
            prop_assert_eq!(format!("{number}Mi").parse::<Quantity>().unwrap().units(), number << 20);
            prop_assert_eq!(format!("{number}m").parse::<Quantity>().unwrap().millis(), number);
        }

        #[test]
        fn no_text_panics(text in "[0-9.eEKMGimnu+-]{0,40}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
