//! `--mount` of a RUN, from the fields as they were written to typed options.

use minato_resource::Span;

use crate::expand::expand;
use crate::instruction::{Mount, MountKind, MountSharing};
use crate::syntax::Word;
use minato_resource::nearest;

/// A mount whose values are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// `type=`
    pub kind: MountKind,
    /// `from=`: a stage or an image.
    pub from: Option<String>,
    /// `source=` in what is mounted; of a secret: its id.
    pub source: Option<String>,
    /// `target=` in the step.
    pub target: Option<String>,
    /// Bind, secret and ssh are read-only unless the fields say otherwise, cache and tmpfs are not.
    pub read_only: bool,
    /// `size=` of a tmpfs, in bytes.
    pub size_limit: Option<u64>,
    /// `id=` of a cache, secret or ssh socket.
    pub id: Option<String>,
    /// `sharing=` of a cache.
    pub sharing: Option<MountSharing>,
    /// `required` of a secret or ssh socket.
    pub required: bool,
    /// `env=` of a secret: the variable that gets it; empty means the default name.
    pub env: Option<String>,
    /// `mode=`, read as octal.
    pub mode: Option<u32>,
    /// `uid=`
    pub uid: Option<u32>,
    /// `gid=`
    pub gid: Option<u32>,
}

/// Why a mount can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MountError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What was probably meant.
    pub hint: Option<String>,
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

const SHARINGS: [(&str, MountSharing); 3] =
    [("shared", MountSharing::Shared), ("private", MountSharing::Private), ("locked", MountSharing::Locked)];

impl Mount {
    /// Expands the values and checks that the fields fit together.
    ///
    /// # Errors
    /// An unknown field, a value that can't be read, or fields that exclude each other; with its place.
    pub fn resolve(
        &self,
        escape: char,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<MountOptions, MountError> {
        let mut draft = Draft::default();
        for field in &self.fields {
            let fail = |(message, hint)| MountError { message, span: field.span, hint };
            match &field.value {
                None => draft.set_lone(&field.key).map_err(fail)?,
                Some(value) => {
                    let value = expanded(value, escape, lookup)?;
                    draft.set(&field.key, value).map_err(fail)?;
                }
            }
        }
        draft.finish().map_err(|message| MountError { message, span: self.span, hint: None })
    }
}

fn expanded(
    value: &Word,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, MountError> {
    expand(value, escape, lookup).map_err(|error| MountError {
        message: error.to_string(),
        span: value.span,
        hint: None,
    })
}

type Refused = (String, Option<String>);

/// The options while fields are still added, and whether one of them said how it may be written to.
#[derive(Default)]
struct Draft {
    options: MountOptions,
    read_only: Option<bool>,
}

impl Draft {
    /// A field without a value.
    fn set_lone(&mut self, key: &str) -> Result<(), Refused> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => self.set_required(true)?,
            _ if KEYS.contains(&key) => return Err((format!("'{key}' needs a value: {key}=…"), None)),
            _ => return Err(unknown_key(key)),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), Refused> {
        match key {
            "type" => self.options.kind = choose(key, &value, &KINDS)?,
            "from" => self.options.from = some(value),
            "source" | "src" => self.options.source = some(value),
            "target" | "dst" | "destination" => self.options.target = some(value),
            "readonly" | "ro" => self.read_only = Some(boolean(key, &value)?),
            "readwrite" | "rw" => self.read_only = Some(!boolean(key, &value)?),
            "required" => {
                let required = boolean(key, &value)?;
                self.set_required(required)?;
            }
            "size" if self.options.kind == MountKind::Tmpfs => {
                self.options.size_limit =
                    Some(parse_size(&value).ok_or_else(|| bad_value(key, &value, "a size: 64m"))?);
            }
            "size" => return Err((wrong_kind(key, self.options.kind), None)),
            "id" => self.options.id = some(value),
            "sharing" => self.options.sharing = Some(choose(key, &value, &SHARINGS)?),
            "mode" => self.options.mode = Some(number(key, &value, 8)?),
            "uid" => self.options.uid = Some(number(key, &value, 10)?),
            "gid" => self.options.gid = Some(number(key, &value, 10)?),
            "env" => self.options.env = Some(value),
            _ => return Err(unknown_key(key)),
        }
        Ok(())
    }

    fn set_required(&mut self, required: bool) -> Result<(), Refused> {
        if !matches!(self.options.kind, MountKind::Secret | MountKind::Ssh) {
            return Err((wrong_kind("required", self.options.kind), None));
        }
        self.options.required = required;
        Ok(())
    }

    fn finish(mut self) -> Result<MountOptions, String> {
        let options = &self.options;
        let kind = options.kind;
        if matches!(kind, MountKind::Bind | MountKind::Tmpfs) {
            let given = [("mode", options.mode), ("uid", options.uid), ("gid", options.gid)];
            if let Some((key, _)) = given.iter().find(|(_, value)| value.is_some()) {
                return Err(wrong_kind(key, kind));
            }
        }
        if options.sharing.is_some() && kind != MountKind::Cache {
            return Err(wrong_kind("sharing", kind));
        }
        if kind == MountKind::Secret {
            check_secret(options)?;
        }
        self.options.read_only =
            self.read_only.unwrap_or(!matches!(kind, MountKind::Cache | MountKind::Tmpfs));
        Ok(self.options)
    }
}

fn check_secret(options: &MountOptions) -> Result<(), String> {
    if options.from.is_some() {
        return Err(wrong_kind("from", MountKind::Secret));
    }
    match (&options.source, &options.id, &options.target) {
        (None, None, None) => Err("a secret mount needs an id, a source or a target".to_owned()),
        (Some(_), Some(_), _) => Err("a secret mount has either an id or a source, not both".to_owned()),
        _ => Ok(()),
    }
}

fn some(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

fn wrong_kind(key: &str, kind: MountKind) -> String {
    let name = KINDS.iter().find(|(_, it)| *it == kind).map_or("", |(name, _)| name);
    format!("'{key}' is not for mounts of the type {name} (type= must stand before it)")
}

fn unknown_key(key: &str) -> Refused {
    let hint = nearest(key, KEYS).map(|meant| format!("did you mean {meant}?"));
    (format!("a mount has no field '{key}'"), hint)
}

fn bad_value(key: &str, value: &str, wanted: &str) -> Refused {
    (format!("{key} is '{value}', it must be {wanted}"), None)
}

fn choose<T: Copy>(key: &str, value: &str, choices: &[(&'static str, T)]) -> Result<T, Refused> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = nearest(value, names.iter().copied()).map(|meant| format!("did you mean {meant}?"));
        (format!("{key} is '{value}', it must be one of {}", names.join(", ")), hint)
    })
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, Refused> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let wanted = if radix == 8 { "an octal number: 0755" } else { "a number" };
    u32::from_str_radix(value, radix).ok().filter(|_| digits).ok_or_else(|| bad_value(key, value, wanted))
}

fn boolean(key: &str, value: &str) -> Result<bool, Refused> {
    parse_bool(value).ok_or_else(|| bad_value(key, value, "true or false"))
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A size in bytes: a number and perhaps `k`, `m`, `g`, `t` or `p`, each 1024 times the one before.
fn parse_size(text: &str) -> Option<u64> {
    let end = text.rfind(|it: char| it.is_ascii_digit() || it == '.')? + 1;
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        _ => {
            let letter = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
            ["k", "m", "g", "t", "p"].iter().position(|it| *it == letter)? + 1
        }
    };
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    // A float has 53 bits, more than enough for a limit; `as` saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]
    Some((number * 1024_f64.powi(power as i32)) as u64)
}
