//! What an untyped YAML scalar is: YAML 1.1 as `kubectl` reads it (sigs.k8s.io/yaml, which is go-yaml v2).
//!
//! The differences from YAML 1.2 bite in practice: `yes`, `on` and `y` are booleans, `0777` is 511, `1_000` is a
//! number, `08` is 8, and `2001-01-01` stays text. `oracle/yaml` holds the program that the rules were checked
//! against.

use std::borrow::Cow;

use base64::Engine;
use serde_json::Number;

use super::Dialect;
use super::time_stamp::TimeStamp;
use crate::document::Data;
use crate::document::number::json_number;

/// Why a scalar has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScalarError {
    #[error("`{0}` cannot be written as JSON, so no object can hold it; quote it if it is text")]
    NotFinite(String),
    #[error("`{text}` is not what its tag {tag} says")]
    TagMismatch { text: String, tag: String },
    #[error("the value of !!binary is not base64 text that decodes to UTF-8")]
    Binary,
}

/// How a scalar was tagged, in short form (`!!int`).
pub(super) enum Tag<'text> {
    /// No tag, or the non-specific `!` on a plain scalar.
    None,
    /// One of YAML's own, or a local one.
    Named(&'text str),
}

const LONG_PREFIX: &str = "tag:yaml.org,2002:";

/// The tags that decide a scalar's type. Any other leaves it text.
const TYPE_TAGS: [&str; 7] = ["!!str", "!!bool", "!!int", "!!float", "!!null", "!!timestamp", "!!binary"];

/// `tag:yaml.org,2002:int` is `!!int`; other tags stay.
pub(super) fn short_tag(tag: &str) -> String {
    tag.strip_prefix(LONG_PREFIX).map_or_else(|| tag.to_owned(), |name| format!("!!{name}"))
}

/// True for a tag that decides a scalar's type.
pub(super) fn is_type_tag(tag: &str) -> bool {
    TYPE_TAGS.contains(&tag)
}

/// The value of a scalar. `plain` is false for quoted and block scalars, which are text unless tagged.
pub(super) fn typed(text: &str, plain: bool, tag: &Tag<'_>, dialect: Dialect) -> Result<Data, ScalarError> {
    match tag {
        Tag::None if plain => data(text, resolve_as(text, dialect), dialect),
        Tag::None => Ok(Data::String(text.to_owned())),
        Tag::Named(tag) => tagged(text, tag, dialect),
    }
}

/// The value of a plain scalar without a tag.
fn data(text: &str, plain: Plain, dialect: Dialect) -> Result<Data, ScalarError> {
    match plain {
        Plain::Null => Ok(Data::Null),
        Plain::Bool(value) => Ok(Data::Bool(value)),
        Plain::Integer(number) => Ok(Data::Number(number)),
        Plain::Float(value) => {
            json_number(value).map(Data::Number).ok_or_else(|| ScalarError::NotFinite(text.to_owned()))
        }
        Plain::Text => Ok(Data::String(match dialect {
            Dialect::Kustomize => {
                TimeStamp::parse(text).map_or_else(|| text.to_owned(), |time| time.to_string())
            }
            Dialect::Kubectl => text.to_owned(),
        })),
    }
}

fn tagged(text: &str, tag: &str, dialect: Dialect) -> Result<Data, ScalarError> {
    let mismatch = || ScalarError::TagMismatch { text: text.to_owned(), tag: tag.to_owned() };
    match (tag, resolve_as(text, dialect)) {
        ("!!null", plain @ Plain::Null)
        | ("!!bool", plain @ Plain::Bool(_))
        | ("!!int", plain @ Plain::Integer(_))
        | ("!!float", plain @ Plain::Float(_)) => data(text, plain, dialect),
        // go-yaml turns signed integers alone into floats.
        ("!!float", Plain::Integer(number)) if number.is_i64() => {
            let value = number.as_f64().and_then(json_number).ok_or_else(mismatch)?;
            Ok(Data::Number(value))
        }
        ("!!binary", _) => binary(text),
        ("!!null" | "!!bool" | "!!int" | "!!float", _) => Err(mismatch()),
        _ => Ok(Data::String(text.to_owned())),
    }
}

fn binary(text: &str) -> Result<Data, ScalarError> {
    let compact: String = text.chars().filter(|character| !matches!(character, '\n' | '\r')).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).map_err(|_| ScalarError::Binary)?;
    String::from_utf8(bytes).map(Data::String).map_err(|_| ScalarError::Binary)
}

/// What a plain scalar turns out to be.
#[derive(Debug, PartialEq)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    Integer(Number),
    /// May be infinite or not a number.
    Float(f64),
    Text,
}

/// Resolves a plain scalar. go-yaml v3, which Kustomize reads with, knows two booleans only.
pub(super) fn resolve_as(text: &str, dialect: Dialect) -> Plain {
    match resolve(text) {
        Plain::Bool(_) if dialect == Dialect::Kustomize && !matches!(text.len(), 4 | 5) => Plain::Text,
        plain => plain,
    }
}

/// Resolves a plain scalar by its first character and then its form.
pub(crate) fn resolve(text: &str) -> Plain {
    match text.as_bytes().first() {
        None => Plain::Null,
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => word(text),
        Some(b'.') => dotted(text),
        Some(b'+' | b'-' | b'0'..=b'9') => number(text),
        Some(_) => Plain::Text,
    }
}

fn word(text: &str) -> Plain {
    match text {
        "~" | "null" | "Null" | "NULL" => Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Plain::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Plain::Bool(false)
        }
        _ => Plain::Text,
    }
}

fn dotted(text: &str) -> Plain {
    match text {
        ".nan" | ".NaN" | ".NAN" => Plain::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Plain::Float(f64::INFINITY),
        _ => float(text),
    }
}

fn number(text: &str) -> Plain {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Plain::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Plain::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) };
    if let Some(number) = integer(&digits) {
        return Plain::Integer(number);
    }
    match float(&digits) {
        Plain::Text => signed_binary(&digits).map_or(Plain::Text, Plain::Integer),
        float => float,
    }
}

/// An integer of 64 bits in Go's notation: decimal, `0x`, `0o`, `0b`, and a leading `0` for octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    radix_integer(digits, radix, negative, text.starts_with('+'))
}

/// go-yaml also reads the sign after `0b`: `0b-11` is -3.
fn signed_binary(text: &str) -> Option<Number> {
    let digits = text.strip_prefix("0b")?;
    match digits.as_bytes().first()? {
        b'-' => radix_integer(&digits[1..], 2, true, false),
        b'+' => radix_integer(&digits[1..], 2, false, true),
        _ => None,
    }
}

fn radix_integer(digits: &str, radix: u32, negative: bool, plus: bool) -> Option<Number> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = u128::from_str_radix(digits, radix).ok()?;
    if negative {
        let value = 0i128.checked_sub(i128::try_from(magnitude).ok()?)?;
        return i64::try_from(value).ok().map(Number::from);
    }
    // Go's unsigned reader takes no sign, so `+` with more than 63 bits is not an integer.
    match i64::try_from(magnitude) {
        Ok(value) => Some(Number::from(value)),
        Err(_) if plus => None,
        Err(_) => u64::try_from(magnitude).ok().map(Number::from),
    }
}

/// A decimal float: `[-+]? (digits [. digits?] | . digits) ([eE] [-+]? digits)?`. One that overflows is text.
fn float(text: &str) -> Plain {
    if !is_decimal_float(text) {
        return Plain::Text;
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Plain::Float(value),
        _ => Plain::Text,
    }
}

fn is_decimal_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(index) => (&unsigned[..index], Some(&unsigned[index + 1..])),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_is_right = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa_is_right && exponent_is_right
}

/// A scalar as the text of a mapping's key, written as sigs.k8s.io/yaml writes numbers and booleans. `None` for
/// null, which JSON cannot have as a key.
pub(super) fn key_text(text: &str, plain: bool, tag: &Tag<'_>) -> Result<Option<String>, ScalarError> {
    let float = match (tag, plain, resolve(text)) {
        (Tag::None, true, Plain::Float(value)) | (Tag::Named("!!float"), _, Plain::Float(value)) => {
            Some(value)
        }
        (Tag::Named("!!float"), _, Plain::Integer(number)) => number.as_f64(),
        _ => None,
    };
    if let Some(value) = float {
        return Ok(Some(float_key(value)));
    }
    Ok(match typed(text, plain, tag, Dialect::Kubectl)? {
        Data::Null | Data::Sequence(_) | Data::Mapping(_) => None,
        Data::Bool(value) => Some(value.to_string()),
        Data::Number(number) => Some(number.to_string()),
        Data::String(text) => Some(text),
    })
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 32)`: the shortest digits that name the 32-bit float, with an
/// exponent below 1e-4 and from 1e6 on.
fn float_key(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
