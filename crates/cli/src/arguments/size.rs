//! Sizes as people write them.

/// `500MB`, `20GB`, `1.5TB` in powers of 1000, `MiB` and the like in powers of 1024, or plain bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write 20GB, 500MiB or bytes");
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let unit = unit.to_ascii_lowercase();
    let (prefix, base) = match unit.strip_suffix("ib") {
        Some(prefix) => (prefix, 1024_f64),
        None => (unit.strip_suffix('b').unwrap_or(&unit), 1000_f64),
    };
    let power = ["", "k", "m", "g", "t"].iter().position(|known| *known == prefix).ok_or_else(wrong)?;
    let size = number * base.powi(i32::try_from(power).map_err(|_| wrong())?);
    // Far above any disk; below it every whole number is exact.
    if !(0.0..=9e15).contains(&size) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the range above")]
    Ok(size as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("0", 0),
            ("512", 512),
            ("20GB", 20_000_000_000),
            ("20g", 20_000_000_000),
            ("1.5 KiB", 1536),
            ("1MiB", 1 << 20),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "GB", "-1GB", "1XB", "1e30", "NaN", "inf"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
