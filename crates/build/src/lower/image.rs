//! The instructions that only change the image's config.

use minato_dockerfile::{Arg, Command, Env, Expose, HealthcheckCommand, Label, Volume, Word};
use minato_oci::Healthcheck;
use serde_json::Value;

use super::{StageLowering, history};
use crate::error::StepError;

impl StageLowering<'_> {
    pub(super) fn arg(&mut self, arg: &Arg) -> Result<(), StepError> {
        let mut line = "ARG".to_owned();
        for definition in &arg.definitions {
            let name = self.expand(&definition.name)?;
            let default = definition.default.as_ref().map(|word| self.expand(word)).transpose()?;
            let global = self.lowering.global;
            let value = global.given(&name).cloned().or(default).or_else(|| global.get(&name));
            line.push_str(&format!(" {name}"));
            if let Some(value) = &value {
                line.push_str(&format!("={value}"));
            }
            self.state.scope.declare(&name, value.as_deref());
        }
        self.note(line, false);
        Ok(())
    }

    /// All pairs of one ENV see the variables as they were before it.
    pub(super) fn env(&mut self, env: &Env) -> Result<(), StepError> {
        let pairs = env.pairs.iter().map(|pair| Ok((self.expand(&pair.name)?, self.expand(&pair.value)?)));
        let pairs = pairs.collect::<Result<Vec<_>, StepError>>()?;
        let mut line = "ENV".to_owned();
        for (name, value) in pairs {
            line.push_str(&format!(" {name}={value}"));
            self.state.set_env(&name, &value);
        }
        self.note(line, false);
        Ok(())
    }

    pub(super) fn label(&mut self, label: &Label) -> Result<(), StepError> {
        let pairs = label.pairs.iter().map(|pair| Ok((self.expand(&pair.name)?, self.expand(&pair.value)?)));
        let pairs = pairs.collect::<Result<Vec<_>, StepError>>()?;
        let mut line = "LABEL".to_owned();
        for (name, value) in pairs {
            line.push_str(&format!(" {name}={value}"));
            self.state.config.config.labels.insert(name, value);
        }
        self.note(line, false);
        Ok(())
    }

    pub(super) fn expose(&mut self, expose: &Expose) -> Result<(), StepError> {
        let mut ports = Vec::new();
        // In the order in which `BuildKit` takes them: that of the text.
        let mut words: Vec<&Word> = expose.ports.iter().collect();
        words.sort_by(|one, other| one.raw.cmp(&other.raw));
        for word in words {
            for port in self.expand_words(word)? {
                ports.extend(exposed_ports(&port)?);
            }
        }
        self.note(format!("EXPOSE {}", history::plain_list(&ports)), false);
        self.state.config.config.exposed_ports.extend(ports);
        Ok(())
    }

    pub(super) fn user(&mut self, user: &Word) -> Result<(), StepError> {
        let user = self.expand(user)?;
        self.note(format!("USER {user}"), false);
        self.state.config.config.user = user;
        Ok(())
    }

    pub(super) fn volume(&mut self, volume: &Volume) -> Result<(), StepError> {
        let paths = volume.paths.iter().map(|word| self.expand(word)).collect::<Result<Vec<_>, _>>()?;
        if paths.iter().any(String::is_empty) {
            return Err(StepError::Invalid("a volume's path is empty".to_owned()));
        }
        self.note(format!("VOLUME {}", history::plain_list(&paths)), false);
        self.state.config.config.volumes.extend(paths);
        Ok(())
    }

    pub(super) fn stop_signal(&mut self, signal: &Word) -> Result<(), StepError> {
        let signal = self.expand(signal)?;
        if !is_signal(&signal) {
            return Err(StepError::Invalid(format!("{signal:?} is no signal; write SIGTERM, TERM or 15")));
        }
        self.note(format!("STOPSIGNAL {signal}"), false);
        self.state.config.config.stop_signal = Some(signal);
        Ok(())
    }

    pub(super) fn set_shell(&mut self, shell: &[Word]) {
        let shell: Vec<String> = shell.iter().map(|word| word.raw.clone()).collect();
        self.note(format!("SHELL {}", history::plain_list(&shell)), false);
        self.state.config.config.shell = Some(shell);
    }

    pub(super) fn cmd(&mut self, command: &Command) {
        let args = self.arguments(command);
        self.note(format!("CMD {}", history::quoted_list(&args)), false);
        let config = &mut self.state.config.config;
        config.cmd = Some(args);
        // `BuildKit` says so for every CMD, for the sake of old Windows engines.
        config.other.insert("ArgsEscaped".to_owned(), Value::Bool(true));
        self.has_cmd = true;
    }

    /// A CMD of the base image was meant for its own entry point and goes.
    pub(super) fn entrypoint(&mut self, command: &Command) {
        let args = self.arguments(command);
        self.note(format!("ENTRYPOINT {}", history::quoted_list(&args)), false);
        self.state.config.config.entrypoint = Some(args);
        if !self.has_cmd {
            self.state.config.config.cmd = None;
        }
    }

    pub(super) fn healthcheck(&mut self, healthcheck: &minato_dockerfile::Healthcheck) {
        let test = match &healthcheck.command {
            HealthcheckCommand::None => vec!["NONE".to_owned()],
            HealthcheckCommand::Cmd(Command::Shell(line)) => vec!["CMD-SHELL".to_owned(), line.raw.clone()],
            HealthcheckCommand::Cmd(Command::Exec(words)) => {
                ["CMD".to_owned()].into_iter().chain(words.iter().map(|word| word.raw.clone())).collect()
            }
        };
        let options = &healthcheck.options;
        let check = Healthcheck {
            test,
            interval: options.interval,
            timeout: options.timeout,
            start_period: options.start_period,
            start_interval: options.start_interval,
            retries: options.retries,
            ..Healthcheck::default()
        };
        self.note(format!("HEALTHCHECK {}", history::healthcheck(&check)), false);
        self.state.config.config.healthcheck = Some(check);
    }

    pub(super) fn maintainer(&mut self, name: &Word) {
        self.note(format!("MAINTAINER {}", name.raw), false);
        self.state.config.author = Some(name.raw.clone());
    }

    fn arguments(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.iter().map(|word| word.raw.clone()).collect(),
            Command::Shell(line) => self.state.shell().into_iter().chain([line.raw.clone()]).collect(),
        }
    }
}

/// `80`, `80/udp`, `8000-8002/tcp`; of `host:container` the container's ports.
fn exposed_ports(text: &str) -> Result<Vec<String>, StepError> {
    let invalid = || StepError::Invalid(format!("{text:?} is no port; write 80, 53/udp or 8000-8010/tcp"));
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(invalid());
    }
    let numbers = numbers.rsplit(':').next().unwrap_or(numbers);
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last): (u16, u16) =
        (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?);
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// A number above zero, or a name of Linux, with or without `SIG`.
fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 33] = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
        "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
        "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
    ];
    if let Ok(number) = text.parse::<u32>() {
        return number > 0 && number <= 64;
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    NAMES.contains(&name) || name == "XFSZ" || name.starts_with("RTMIN") || name.starts_with("RTMAX")
}
