//! `minato build`: the image of a folder with a Dockerfile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use minato_oci::{Image, Reference};

use crate::adapter::Registries;
use crate::arguments::{BuildArguments, Output};
use crate::build_cache;
use crate::build_checks;
use crate::build_input::BuildInput;
use crate::build_output::{Answer, BuildOutputs, Outlet};
use crate::build_surroundings;
use crate::exit::Failure;
use crate::images;
use crate::machine::Machine;
use crate::print::{self, Printer, Table};

pub async fn run(machine: &Machine, printer: &Printer, arguments: &BuildArguments) -> Result<(), Failure> {
    let outputs = BuildOutputs::of(&arguments.output)?;
    let printer = &printer.quiet_if(arguments.output.quiet);
    let store = machine.store()?;
    // Until it is tagged, the image belongs to nothing.
    let lease = store.lease()?;
    let registries = Registries::new(machine, &store, printer);
    let settings = images::remote_settings(&arguments.image)?;
    let input = BuildInput::of(machine, &store, &settings, arguments)?;
    let references = references(arguments, &input.name)?;
    let mut request = input.request(arguments)?;
    build_surroundings::apply(&arguments.input, &mut request)?;
    request.target.clone_from(&arguments.target);
    request.labels = labels(&arguments.label)?;
    if arguments.call.only_checks() {
        return build_checks::answer(printer, &store, &request, outputs.format);
    }
    build_checks::before(printer, &store, &request)?;
    request.cache_imports =
        build_cache::import(machine, &store, printer, &outputs.cache_from, &outputs.platforms).await?;
    let built = images::make(machine, &registries, &request, &outputs.platforms, &arguments.image).await?;
    let images: Vec<Image> = built.iter().map(|built| built.image.clone()).collect();
    let annotations = build_cache::inline(&outputs.cache_to, &built);
    let outlet = Outlet {
        machine,
        printer,
        store: &store,
        request: &request,
        built: &built,
        images: &images,
        annotations: &annotations,
        references: &references,
    };
    let answer = outlet.write_all(&outputs).await?;
    build_cache::export(machine, &store, printer, &outputs.cache_to, &built).await?;
    drop(lease);
    machine.keep_to_limit(printer);
    tell(&answer, &outputs, arguments)
}

/// A script reads one line: the image's identity.
fn tell(answer: &Answer, outputs: &BuildOutputs, arguments: &BuildArguments) -> Result<(), Failure> {
    let write =
        |path: &Path, text: String| std::fs::write(path, text).with_context(|| path.display().to_string());
    if let Some(path) = &arguments.output.metadata_file {
        write(path, format!("{:#}\n", answer.metadata()))?;
    }
    if let Some(path) = &arguments.output.iidfile {
        write(path, answer.identity().to_string())?;
    }
    match outputs.format {
        _ if outputs.takes_stdout() => Ok(()),
        Output::Table => print::to_stdout(&format!("{}\n", answer.identity())),
        format => print::data(format, answer, || Table::new([])),
    }
}

fn references(arguments: &BuildArguments, name: &Path) -> anyhow::Result<Vec<Reference>> {
    if arguments.tag.is_empty() {
        return Ok(vec![folder_name(name).parse::<Reference>()?.with_default_tag()]);
    }
    let parse = |text: &String| {
        Ok(text.parse::<Reference>().with_context(|| format!("--tag {text}"))?.with_default_tag())
    };
    arguments.tag.iter().map(parse).collect()
}

/// The folder's name with what a repository may be called.
fn folder_name(folder: &Path) -> String {
    let name = folder.file_name().map(PathBuf::from).unwrap_or_default();
    let name = name.to_string_lossy().to_lowercase();
    let name =
        name.replace(|character: char| !character.is_ascii_lowercase() && !character.is_ascii_digit(), "-");
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if name.is_empty() { "image".to_owned() } else { name }
}

fn labels(given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (key, value) =
            text.split_once('=').ok_or_else(|| anyhow!("--label {text}: expected KEY=VALUE"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_its_image() {
        let of = |name| folder_name(Path::new(name));
        assert_eq!([of("/srv/My App"), of("/srv/a__b.c"), of("/")], ["my-app", "a-b-c", "image"]);
    }
}
