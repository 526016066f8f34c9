//! What stages are called.

use super::analysis::Analysis;
use crate::rule::Finding;

/// Names that mean something else in `--from` and FROM.
const RESERVED: [&str; 2] = ["context", "scratch"];

pub(super) fn casing(analysis: &Analysis<'_>) -> Vec<Finding> {
    let named = analysis.dockerfile().stages.iter().filter_map(|stage| stage.from.value.name.as_ref());
    let found = named.filter_map(|name| {
        let written = analysis.build.file.slice(name.span);
        let message = format!("the stage's name {written} has capitals, which do not count");
        let hint = format!("write {}", name.raw);
        (written.to_lowercase() != written).then(|| Finding::at(name.span, message, hint))
    });
    found.collect()
}

pub(super) fn duplicate(analysis: &Analysis<'_>) -> Vec<Finding> {
    let mut seen = std::collections::BTreeSet::new();
    let named = analysis.dockerfile().stages.iter().filter_map(|stage| stage.from.value.name.as_ref());
    let again = named.filter(|name| !seen.insert(name.raw.as_str()));
    let finding = |name: &minato_dockerfile::Word| {
        let message = format!("an earlier stage is called {}, too", name.raw);
        Finding::at(name.span, message, "give each stage a name of its own")
    };
    again.map(finding).collect()
}

pub(super) fn reserved(analysis: &Analysis<'_>) -> Vec<Finding> {
    let named = analysis.dockerfile().stages.iter().filter_map(|stage| stage.from.value.name.as_ref());
    let reserved = named.filter(|name| RESERVED.contains(&name.raw.as_str()));
    let finding = |name: &minato_dockerfile::Word| {
        let message = format!("{} can't be meant as a stage, because it means something else", name.raw);
        Finding::at(name.span, message, "give the stage another name")
    };
    reserved.map(finding).collect()
}
