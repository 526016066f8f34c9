//! Numbers in tar headers: octal text, or GNU's base 256 for what octal can't hold.

/// Reads a numeric field. Blanks and NULs around the digits are padding; an empty field is 0.
pub(super) fn read(field: &[u8]) -> Option<i128> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => Some(read_base_256(field)),
        _ => read_octal(field),
    }
}

/// Writes `value` in octal with a closing NUL; `false` when it does not fit.
pub(super) fn write_octal(field: &mut [u8], value: u64) -> bool {
    let digits = field.len() - 1;
    if digits < 21 && value >= 1 << (3 * digits) {
        return false;
    }
    for (place, byte) in field[..digits].iter_mut().rev().enumerate() {
        *byte = b'0' + ((value >> (3 * place)) & 7) as u8;
    }
    field[digits] = 0;
    true
}

fn read_octal(field: &[u8]) -> Option<i128> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_padding(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(is_padding).unwrap_or(digits.len());
    let mut value = 0;
    for byte in &digits[..end] {
        match byte {
            b'0'..=b'7' => value = value << 3 | i128::from(byte - b'0'),
            _ => return None,
        }
    }
    Some(value)
}

/// Two's complement, big endian; the first bit marks the form and the second is the sign.
fn read_base_256(field: &[u8]) -> i128 {
    let sign = if field[0] & 0x40 == 0 { 0 } else { -1 };
    let first = i128::from(field[0] & 0x3f) | (sign << 6);
    field[1..].iter().fold(first, |value, byte| value << 8 | i128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_form() {
        for (field, expected) in [
            (b"0000644\0".as_slice(), Some(0o644)),
            (b"  644 \0\0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"00000089", None),
            (b"-0000001", None),
            (b"\x80\0\0\0\0\x20\0\0", Some(0x20_0000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"77777777", Some(0o77_777_777)),
        ] {
            assert_eq!(read(field), expected, "{field:?}");
        }
    }

    #[test]
    fn octal_is_written_only_where_it_fits() {
        let mut field = [0; 8];
        assert!(write_octal(&mut field, 0o7_777_777));
        assert_eq!(&field, b"7777777\0");
        assert!(!write_octal(&mut field, 0o10_000_000));
    }
}
