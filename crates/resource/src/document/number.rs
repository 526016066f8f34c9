//! Numbers as JSON on a Kubernetes API holds them.

use serde_json::Number;

/// A float as Go writes it in JSON: without a fraction it is an integer (`1.0` is `1`). `None` when infinite or
/// not a number.
pub(super) fn json_number(value: f64) -> Option<Number> {
    if value.fract() != 0.0 {
        return Number::from_f64(value);
    }
    // Go writes the shortest digits that name the float, filled up with zeros.
    let digits = format!("{value}");
    let signed = digits.parse::<i64>().ok().map(Number::from);
    signed.or_else(|| digits.parse::<u64>().ok().map(Number::from)).or_else(|| Number::from_f64(value))
}
