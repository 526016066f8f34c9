//! `--chmod`: octal as `chmod 755`, or symbolic as `chmod u+x,go=rX`.

/// A parsed `--chmod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// These bits, whatever was there.
    Octal(u32),
    /// Clauses applied one after the other.
    Symbolic(Vec<Clause>),
}

/// `u+x`: who, which operation, which permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Bits of the classes that it is about, all nine and the special ones.
    who: u32,
    operation: char,
    permissions: String,
}

/// Why a text is no mode.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--chmod={0} is no mode; write octal digits up to 7777, or u+x,go=r")]
pub struct ModeError(String);

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHER: u32 = 0o1007;

impl std::str::FromStr for ModeChange {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let error = || ModeError(text.to_owned());
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).map_err(|_| error())?;
            return if bits <= 0o7777 { Ok(Self::Octal(bits)) } else { Err(error()) };
        }
        text.split(',')
            .map(|clause| parse_clause(clause).ok_or_else(error))
            .collect::<Result<_, _>>()
            .map(Self::Symbolic)
    }
}

fn parse_clause(text: &str) -> Option<Clause> {
    let at = text.find(['+', '-', '='])?;
    let (classes, rest) = text.split_at(at);
    let mut who = 0;
    for class in classes.chars() {
        who |= match class {
            'u' => USER,
            'g' => GROUP,
            'o' => OTHER,
            'a' => USER | GROUP | OTHER,
            _ => return None,
        };
    }
    let who = if who == 0 { USER | GROUP | OTHER } else { who };
    let (operation, permissions) = (rest.chars().next()?, rest[1..].to_owned());
    permissions.chars().all(|it| "rwxXst".contains(it)).then_some(Clause { who, operation, permissions })
}

impl ModeChange {
    /// The bits of a folder that is made on the way: those of an octal mode, else the usual ones.
    pub(crate) fn of_made_folder(&self) -> u32 {
        match self {
            Self::Octal(bits) => bits & 0o777,
            Self::Symbolic(_) => 0o755,
        }
    }

    /// The bits that a file of mode `mode` gets.
    pub(crate) fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        match self {
            Self::Octal(bits) => *bits,
            Self::Symbolic(clauses) => {
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_folder))
            }
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        let bits = self.permissions.chars().fold(0, |bits, permission| {
            bits | match permission {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_folder || mode & 0o111 != 0 => 0o111,
                's' => 0o6000,
                't' => 0o1000,
                _ => 0,
            }
        }) & self.who;
        match self.operation {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => (mode & !(self.who & 0o777)) | bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_changed_as_chmod_does() {
        for (text, before, is_folder, after) in [
            ("644", 0o755, false, 0o644),
            ("4755", 0o600, false, 0o4755),
            ("0", 0o755, true, 0),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o755, false, 0o700),
            ("a=rX", 0o600, true, 0o555),
            ("a=rX", 0o600, false, 0o444),
            ("u=rw,go=r", 0o777, false, 0o644),
            ("u+s", 0o755, false, 0o4755),
            ("+t", 0o755, true, 0o1755),
        ] {
            let change: ModeChange = text.parse().unwrap();
            assert_eq!(change.apply(before, is_folder), after, "{text}");
        }
        for text in ["", "9", "77777", "u", "u*x", "z+x", "u+q", "u+x,"] {
            assert!(text.parse::<ModeChange>().is_err(), "{text}");
        }
    }
}
