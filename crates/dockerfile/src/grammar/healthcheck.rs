//! HEALTHCHECK.

use std::time::Duration;

use crate::duration::parse_duration;
use crate::flag::{Flags, value};
use crate::instruction::{Command, Healthcheck, HealthcheckCommand, HealthcheckOptions};
use crate::parse::Head;
use crate::report::Reporter;

use super::{Rules, command, missing, warn_of_ignored_flags};

const FLAGS: Rules =
    &[value("interval"), value("timeout"), value("start-period"), value("start-interval"), value("retries")];

const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn healthcheck(head: Head<'_>, reporter: &mut Reporter) -> Option<Healthcheck> {
    if head.operands.is_empty() {
        return missing("HEALTHCHECK", &head.keyword, "CMD or NONE", "HEALTHCHECK CMD COMMAND", reporter);
    }
    let (kind, rest) = head.operands.split_first(char::is_whitespace);
    match kind.raw.to_uppercase().as_str() {
        "NONE" => {
            warn_of_ignored_flags(&head, reporter);
            if let Some(rest) = rest {
                reporter.error("bad-operand", rest.whole().span, "HEALTHCHECK NONE takes no operands");
                return None;
            }
            Some(Healthcheck { command: HealthcheckCommand::None, options: HealthcheckOptions::default() })
        }
        "CMD" => {
            let command = match &rest {
                Some(rest) => command(rest, reporter)?,
                None => Command::Exec(Vec::new()),
            };
            if matches!(&command, Command::Exec(arguments) if arguments.is_empty()) {
                let example = "HEALTHCHECK CMD curl -f http://localhost/";
                return missing("HEALTHCHECK CMD", &head.keyword, "a command", example, reporter);
            }
            let flags = head.flags.check("HEALTHCHECK", FLAGS, reporter);
            let options = options(&flags, reporter)?;
            Some(Healthcheck { command: HealthcheckCommand::Cmd(command), options })
        }
        _ => {
            let message = format!("HEALTHCHECK knows CMD and NONE, not '{}'", kind.raw);
            reporter.error("bad-operand", kind.span, message).hint("write HEALTHCHECK CMD COMMAND");
            None
        }
    }
}

fn options(flags: &Flags, reporter: &mut Reporter) -> Option<HealthcheckOptions> {
    Some(HealthcheckOptions {
        interval: duration(flags, "interval", reporter)?,
        timeout: duration(flags, "timeout", reporter)?,
        start_period: duration(flags, "start-period", reporter)?,
        start_interval: duration(flags, "start-interval", reporter)?,
        retries: retries(flags, reporter)?,
    })
}

/// The outer `None` is a value that was refused, the inner one a flag that was not given.
#[allow(clippy::option_option)]
fn duration(flags: &Flags, name: &'static str, reporter: &mut Reporter) -> Option<Option<Duration>> {
    let Some(word) = flags.value(name).filter(|word| !word.raw.is_empty()) else { return Some(None) };
    match parse_duration(&word.raw) {
        Some(duration) if duration.is_zero() || duration >= SHORTEST => Some(Some(duration)),
        Some(_) => {
            reporter.error("bad-flag-value", word.span, format!("--{name} can't be less than 1ms"));
            None
        }
        None => {
            let message = format!("--{name} is '{}', which is not a duration", word.raw);
            reporter
                .error("bad-flag-value", word.span, message)
                .hint("write a number and a unit: 30s, 1m30s, 500ms");
            None
        }
    }
}

#[allow(clippy::option_option)]
fn retries(flags: &Flags, reporter: &mut Reporter) -> Option<Option<u32>> {
    let Some(word) = flags.value("retries").filter(|word| !word.raw.is_empty()) else { return Some(None) };
    match word.raw.parse::<i32>().ok().and_then(|retries| u32::try_from(retries).ok()) {
        Some(retries) => Some(Some(retries)),
        None => {
            let message = format!("--retries is '{}', it must be a number from 0", word.raw);
            reporter.error("bad-flag-value", word.span, message);
            None
        }
    }
}
