//! EXPOSE: `[address:][host's port:]port[-port][/protocol]`, of which only the port and the protocol count.

use minato_dockerfile::{Instruction, expand_words};
use minato_resource::Span;

use super::analysis::Analysis;
use crate::rule::Finding;

pub(super) fn casing(analysis: &Analysis<'_>) -> Vec<Finding> {
    let finding = |(port, span): (String, Span)| {
        let (_, protocol) = port.rsplit_once('/')?;
        let message = format!("the protocol of {port} has capitals");
        let hint = format!("write {}", port.to_lowercase());
        (protocol.to_lowercase() != protocol).then(|| Finding::at(span, message, hint))
    };
    ports(analysis).into_iter().filter_map(finding).collect()
}

pub(super) fn mapped(analysis: &Analysis<'_>) -> Vec<Finding> {
    let finding = |(port, span): (String, Span)| {
        let (front, own) = port.rsplit_once(':')?;
        let message = format!("{port} has an address or a host's port, which EXPOSE does not map");
        let used = front.chars().any(|it| it != ':');
        used.then(|| Finding::at(span, message, format!("write {own}")))
    };
    ports(analysis).into_iter().filter_map(finding).collect()
}

/// Every port after expansion, with the word it comes from.
fn ports(analysis: &Analysis<'_>) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    analysis.follow(|step| {
        let Instruction::Expose(expose) = &step.statement.value else { return };
        for word in &expose.ports {
            let lookup = |name: &str| step.environment.value(name).map(str::to_owned);
            let ports = expand_words(word, step.environment.escape(), &lookup).unwrap_or_default();
            found.extend(ports.into_iter().map(|port| (port, step.place(word.span))));
        }
    });
    found
}
