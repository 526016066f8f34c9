//! Numbers as JSON on a Kubernetes API holds them.

use serde_json::Number;

/// A float as Go writes it in JSON: without a fraction it is an integer (`1.0` is `1`). `None` when infinite or
/// not a number.
pub(super) fn json_number(value: f64) -> Option<Number> {
    // Both bounds are exact floats; beyond them an integer of 64 bits would not hold the value.
    const LOWEST: f64 = i64::MIN as f64;
    const ABOVE_HIGHEST: f64 = u64::MAX as f64;
    if value.fract() == 0.0 && (LOWEST..ABOVE_HIGHEST).contains(&value) {
        let whole = value as i128;
        return Some(if whole < 0 { Number::from(whole as i64) } else { Number::from(whole as u64) });
    }
    Number::from_f64(value)
}
