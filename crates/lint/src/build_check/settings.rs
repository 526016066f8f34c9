//! `skip=RULE,…;experimental=RULE,…;error=true`: which checks count, and how much.

/// What `# check=` says, or a comment, or the build argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    skip: Names,
    experimental: Names,
    /// Findings are errors.
    pub error: bool,
}

/// Names of checks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    All,
    These(Vec<String>),
}

impl Default for Names {
    fn default() -> Names {
        Names::These(Vec::new())
    }
}

impl Settings {
    /// Reads the value of the directive; what is wrong with it otherwise.
    pub(super) fn parse(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        // A third part keeps its semicolons.
        for part in text.trim().splitn(3, ';').filter(|_| !text.trim().is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("check option '{part}' has no value"))?;
            match (key.trim(), value.trim()) {
                ("skip", value) => settings.skip = Names::parse(value),
                ("experimental", value) => settings.experimental = Names::parse(value),
                ("error", value) => {
                    settings.error = boolean(value)
                        .ok_or_else(|| format!("check option error is '{value}', not true or false"))?;
                }
                (key, _) => return Err(format!("there is no check option '{key}'")),
            }
        }
        Ok(settings)
    }

    /// Whether an ordinary check is switched off.
    pub(super) fn skips(&self, name: &str) -> bool {
        self.skip.has(name)
    }

    /// Whether an experimental check is switched on.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.experimental.has(name)
    }

    /// Every name that is written.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = |names| match names {
            &Names::All => &[][..],
            Names::These(names) => names.as_slice(),
        };
        names(&self.skip).iter().chain(names(&self.experimental)).map(String::as_str)
    }
}

/// The settings in the comments above an instruction, which are for it alone: the first comment that has some counts.
/// What follows a blank is a reason.
pub(super) fn in_comments(comments: &[String]) -> Option<Settings> {
    let value = comments.iter().find_map(|comment| {
        let (key, value) = comment.split_once('=')?;
        key.trim().eq_ignore_ascii_case("check").then(|| value.trim())
    })?;
    let value = value.split_once(' ').map_or(value, |(value, _)| value);
    Settings::parse(value).ok()
}

impl Names {
    fn parse(text: &str) -> Names {
        match text {
            "all" => Names::All,
            text => Names::These(text.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::These(names) => names.iter().any(|it| it == name),
        }
    }
}

/// The words that Go takes for booleans.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
