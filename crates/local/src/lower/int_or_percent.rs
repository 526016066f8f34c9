//! `maxSurge: 25%`: a number, or a part of the replicas, resolved as Kubernetes' deployment controller does.

use serde_json::Value;

/// A number or a percentage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntOrPercent {
    /// So many.
    Number(u32),
    /// That part of the replicas.
    Percent(u32),
}

impl IntOrPercent {
    /// Reads `3`, or `"25%"`. `None` for anything else.
    pub fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => u32::try_from(number.as_u64()?).ok().map(Self::Number),
            Value::String(text) => {
                let digits = text.strip_suffix('%')?;
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                if plain { digits.parse().ok().map(Self::Percent) } else { None }
            }
            _ => None,
        }
    }

    fn of(self, total: u32, up: bool) -> u32 {
        match self {
            Self::Number(number) => number,
            Self::Percent(percent) => {
                let parts = u64::from(percent) * u64::from(total);
                let whole = if up { parts.div_ceil(100) } else { parts / 100 };
                u32::try_from(whole).unwrap_or(u32::MAX)
            }
        }
    }
}

/// (surge, unavailable) for so many replicas: surge rounds up, unavailable down, and when both come to nothing one
/// replica may be unavailable, or nothing would ever move (`ResolveFenceposts`).
pub fn resolve(surge: IntOrPercent, unavailable: IntOrPercent, replicas: u32) -> (u32, u32) {
    let resolved = (surge.of(replicas, true), unavailable.of(replicas, false));
    if resolved == (0, 0) { (0, 1) } else { resolved }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn rounding_is_kubernetes() {
        use IntOrPercent::{Number, Percent};
        let check = |surge, unavailable, replicas, expected| {
            assert_eq!(
                resolve(surge, unavailable, replicas),
                expected,
                "{surge:?} {unavailable:?} {replicas}"
            );
        };
        check(Percent(25), Percent(25), 1, (1, 0));
        check(Percent(25), Percent(25), 3, (1, 0));
        check(Percent(25), Percent(25), 10, (3, 2));
        check(Number(1), Number(0), 3, (1, 0));
        check(Number(0), Percent(10), 3, (0, 1));
        check(Percent(100), Percent(100), 4, (4, 4));
    }

    #[test]
    fn other_values_are_refused() {
        for wrong in [
            json!("25"),
            json!("-5%"),
            json!("%"),
            json!(-1),
            json!(1.5),
            json!("2.5%"),
            json!(null),
            json!("99999999999%"),
        ] {
            assert_eq!(IntOrPercent::parse(&wrong), None, "{wrong}");
        }
        assert_eq!(IntOrPercent::parse(&json!("0%")), Some(IntOrPercent::Percent(0)));
        assert_eq!(IntOrPercent::parse(&json!(7)), Some(IntOrPercent::Number(7)));
    }

    proptest! {
        #[test]
        fn something_can_always_move(surge in 0u32..500, unavailable in 0u32..500, replicas in 0u32..10_000) {
            let (surge, unavailable) = resolve(IntOrPercent::Percent(surge), IntOrPercent::Percent(unavailable), replicas);
            prop_assert!(surge + unavailable > 0);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,12}") {
            let _ = IntOrPercent::parse(&Value::String(text));
        }
    }
}
