//! `minato tags`: what an image of this commit is called.

use std::collections::BTreeMap;

use minato_oci::Reference;
use minato_source::{Facts, Flavor, ImageTags, Rule, image_tags};
use serde::Serialize;

use crate::arguments::{Output, TagsArguments};
use crate::exit::Failure;
use crate::print::{self, Printer, Table};

/// As `-o json` shows it.
#[derive(Serialize)]
struct Answer<'a> {
    version: Option<&'a str>,
    /// With the image's name, where one was given.
    tags: &'a [String],
    labels: BTreeMap<&'a str, &'a str>,
}

pub fn run(printer: &Printer, arguments: &TagsArguments) -> Result<(), Failure> {
    let rules = arguments.rules.iter().map(|rule| Rule::parse(rule)).collect::<Result<Vec<_>, _>>();
    let rules = rules.map_err(anyhow::Error::from)?;
    let mut flavor = Flavor::default();
    for line in &arguments.flavor {
        flavor.add(line).map_err(anyhow::Error::from)?;
    }
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let facts = Facts::read(&arguments.directory, &environment, jiff::Timestamp::now());
    let facts = facts.map_err(anyhow::Error::from)?;
    let found = image_tags(&rules, &flavor, &facts).map_err(anyhow::Error::from)?;
    for warning in &found.warnings {
        printer.warning(warning);
    }
    let tags = named(&arguments.image, &found)?;
    if tags.is_empty() && !arguments.labels {
        printer.warning("no rule applies to this ref: there is no tag");
    }
    show(arguments, &found, &tags)
}

fn show(arguments: &TagsArguments, found: &ImageTags, tags: &[String]) -> Result<(), Failure> {
    if arguments.labels {
        let lines: String = found.labels.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        return print::to_stdout(&lines);
    }
    match arguments.output.output {
        Output::Table => print::to_stdout(&tags.iter().map(|tag| format!("{tag}\n")).collect::<String>()),
        output => {
            let labels = found.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let answer = Answer { version: found.version.as_deref(), tags, labels };
            print::data(output, &answer, || Table::new([]))
        }
    }
}

/// Each tag behind each name; the bare tags without one. Names are lower case in every registry.
fn named(names: &[String], found: &ImageTags) -> anyhow::Result<Vec<String>> {
    if names.is_empty() {
        return Ok(found.tags.clone());
    }
    let mut tags = Vec::new();
    for name in names {
        let name: Reference = name.to_lowercase().parse()?;
        for tag in &found.tags {
            tags.push(name.with_tag(tag)?.familiar());
        }
    }
    Ok(tags)
}
