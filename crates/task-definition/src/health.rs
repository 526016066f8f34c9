//! A container's health check.

use crate::fields::Fields;

/// `healthCheck`, with ECS's defaults filled in. All times are seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is run.
    pub command: HealthCommand,
    /// Time between two checks; 5 to 300, default 30.
    pub interval_seconds: u64,
    /// Time after which a check has failed; 2 to 60 (120 in newer regions), default 5.
    pub timeout_seconds: u64,
    /// Failures in a row after which the container is unhealthy; 1 to 10, default 3.
    pub retries: u64,
    /// Time in which failures do not count; 0 to 300, default 0.
    pub start_period_seconds: u64,
}

/// `command` of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCommand {
    /// `["CMD", program, argument, …]`: run as it is.
    Exec(Vec<String>),
    /// `["CMD-SHELL", line]`: run by `/bin/sh -c`.
    Shell(String),
}

impl HealthCommand {
    /// The program and its arguments.
    pub fn argv(&self) -> Vec<String> {
        match self {
            HealthCommand::Exec(argv) => argv.clone(),
            HealthCommand::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        }
    }
}

impl HealthCheck {
    /// `None` when there is no check (`["NONE"]`) or, reported, no usable command.
    pub(crate) fn read(fields: &Fields<'_>) -> Option<HealthCheck> {
        let command = command(fields);
        let check = HealthCheck {
            command: command?,
            interval_seconds: fields.within("interval", 5..=300, 30),
            timeout_seconds: fields.within("timeout", 2..=120, 5),
            retries: fields.within("retries", 1..=10, 3),
            start_period_seconds: fields.within("startPeriod", 0..=300, 0),
        };
        Some(check)
    }
}

fn command(fields: &Fields<'_>) -> Option<HealthCommand> {
    let words = fields.texts("command");
    let (first, rest) = match words.split_first() {
        Some((first, rest)) => (first.as_str(), rest),
        None => {
            fields.error("ecs-missing", "command", "the health check has no `command`".to_owned());
            return None;
        }
    };
    match (first, rest) {
        ("NONE", _) => None,
        ("CMD", [_, ..]) => Some(HealthCommand::Exec(rest.to_vec())),
        ("CMD-SHELL", [line]) => Some(HealthCommand::Shell(line.clone())),
        ("CMD" | "CMD-SHELL", _) => {
            let message = format!(
                "`{first}` takes {}",
                if first == "CMD" { "a program and its arguments" } else { "one command line" }
            );
            fields.error("ecs-value", "command", message);
            None
        }
        _ => {
            // The ECS documentation: without CMD or CMD-SHELL the words are given to the default shell.
            fields.warning(
                "ecs-value",
                "command",
                format!("a health check's command starts with `CMD` or `CMD-SHELL`, not `{first}`"),
                "write [\"CMD-SHELL\", \"…\"]",
            );
            Some(HealthCommand::Shell(words.join(" ")))
        }
    }
}
