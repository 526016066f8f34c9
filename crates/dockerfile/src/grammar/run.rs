//! RUN and its flags.

use crate::csv;
use crate::flag::{list, value};
use crate::instruction::{Device, Heredoc, Mount, MountField, Network, Run, Security};
use crate::mount::parse_bool;
use crate::parse::Head;
use crate::report::Reporter;
use crate::syntax::Word;
use minato_resource::Span;

use super::{Rules, choice, command};

const FLAGS: Rules = &[list("mount"), value("network"), value("security"), list("device")];

const NETWORKS: &[(&str, Network)] =
    &[("default", Network::Default), ("none", Network::None), ("host", Network::Host)];

const SECURITIES: &[(&str, Security)] = &[("sandbox", Security::Sandbox), ("insecure", Security::Insecure)];

pub(super) fn run(head: Head<'_>, heredocs: &[Heredoc], reporter: &mut Reporter) -> Option<Run> {
    let escape = head.operands.escape;
    let flags = head.flags.check("RUN", FLAGS, reporter);
    let network = flags.value("network").map(|word| choice("network", word, NETWORKS, reporter));
    let security = flags.value("security").map(|word| choice("security", word, SECURITIES, reporter));
    // Each is looked at before the first bad one ends it, so that all are reported.
    let mounts: Vec<Option<Mount>> = flags.list("mount").map(|word| mount(word, escape, reporter)).collect();
    let devices: Vec<Option<Device>> = flags.list("device").map(|word| device(word, reporter)).collect();
    Some(Run {
        command: command(&head.operands, reporter)?,
        heredocs: heredocs.to_vec(),
        mounts: mounts.into_iter().collect::<Option<_>>()?,
        network: network.unwrap_or_else(|| Some(Network::default()))?,
        security: security.unwrap_or_else(|| Some(Security::default()))?,
        devices: devices.into_iter().collect::<Option<_>>()?,
    })
}

/// Reads the fields of a mount. Those without variables are checked at once; the others when their values are
/// known.
fn mount(word: &Word, escape: char, reporter: &mut Reporter) -> Option<Mount> {
    let fields = split_fields(word, reporter)?;
    let mount = Mount {
        fields: fields.into_iter().map(|field| mount_field(field, reporter)).collect(),
        span: word.span,
    };
    let from =
        mount.fields.iter().filter(|field| field.key == "from").filter_map(|field| field.value.as_ref());
    for value in from {
        if value.raw.find('$').is_some_and(|index| index + 1 != value.raw.len()) {
            reporter
                .error("variable-in-from", value.span, "variables are not expanded in a mount's from")
                .hint("add a stage FROM ${VARIABLE} AS NAME with a global ARG, and use from=NAME");
            return None;
        }
    }
    let variables =
        mount.fields.iter().filter_map(|field| field.value.as_ref()).any(|value| value.raw.contains('$'));
    if !variables && let Err(error) = mount.resolve(escape, &|_| None) {
        reporter.error("bad-mount", error.span, error.message).hint_if_any(error.hint);
        return None;
    }
    Some(mount)
}

fn mount_field(field: Word, reporter: &Reporter) -> MountField {
    let Some((key, value)) = field.raw.split_once('=') else {
        return MountField { key: field.raw.to_lowercase(), value: None, span: field.span };
    };
    let exact = reporter.source(field.span) == field.raw && !value.is_empty();
    let span = if exact { Span::new(field.span.end - value.len(), field.span.end) } else { field.span };
    MountField {
        key: key.to_lowercase(),
        value: Some(Word { raw: value.to_owned(), span }),
        span: field.span,
    }
}

/// The fields of a flag's value, which is one line of CSV.
fn split_fields(word: &Word, reporter: &mut Reporter) -> Option<Vec<Word>> {
    let Some(fields) = csv::fields(&word.raw) else {
        reporter.error("bad-flag-value", word.span, "the quotes in this list of fields don't match");
        return None;
    };
    let exact = reporter.source(word.span) == word.raw;
    let place = |range: std::ops::Range<usize>| {
        if exact { Span::new(word.span.start + range.start, word.span.start + range.end) } else { word.span }
    };
    Some(fields.into_iter().map(|(raw, range)| Word { raw, span: place(range) }).collect())
}

fn device(word: &Word, reporter: &mut Reporter) -> Option<Device> {
    let mut device = Device { name: String::new(), required: false, span: word.span };
    for field in split_fields(word, reporter)? {
        let (key, value) = match field.raw.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.raw.to_lowercase(), None),
        };
        let message = match (key.as_str(), value) {
            ("required", None) => {
                device.required = true;
                continue;
            }
            ("required", Some(value)) => match parse_bool(value) {
                Some(required) => {
                    device.required = required;
                    continue;
                }
                None => format!("required is '{value}', it must be true or false"),
            },
            ("name", Some(_)) if !device.name.is_empty() => {
                format!("the device has the name '{}' already", device.name)
            }
            ("name", Some(value)) => {
                value.clone_into(&mut device.name);
                continue;
            }
            _ if device.name.is_empty() => {
                field.raw.clone_into(&mut device.name);
                continue;
            }
            _ => format!("unknown field '{}' of a device; known are name and required", field.raw),
        };
        reporter.error("bad-flag-value", field.span, message);
        return None;
    }
    Some(device)
}
