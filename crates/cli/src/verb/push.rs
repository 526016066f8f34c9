//! `minato push`: images of this machine to their registries.

use anyhow::{Context, anyhow};
use minato_oci::export::{Export, ExportOptions};
use minato_oci::{Digest, Image, Reference, Store};
use minato_registry::{PushError, Pushed};
use serde::Serialize;

use crate::adapter::PullProgress;
use crate::arguments::{Output, PushArguments};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer, Table};

/// One image that a registry has now, as `-o json` shows it.
#[derive(Serialize)]
struct Answer {
    reference: Reference,
    digest: Digest,
}

pub async fn run(machine: &Machine, printer: &Printer, arguments: &PushArguments) -> Result<(), Failure> {
    let encoding = arguments.compression.encoding().context("--compression-level")?;
    let store = machine.store()?;
    let _lease = store.lease()?;
    // Everything that can be wrong here is found before anything is sent.
    let find = |text: &String| find(&store, text);
    let images = arguments.references.iter().map(find).collect::<anyhow::Result<Vec<_>>>()?;
    let client = machine.registry_client()?;
    let mut answers = Vec::new();
    for (reference, images) in images {
        let options = ExportOptions { encoding, ..ExportOptions::default() };
        let export = Export::plan(&store, &images, options).map_err(anyhow::Error::from)?;
        let progress = PullProgress::new(printer, "push", &reference);
        let pushed = client.push_export(&export, &reference, &store, &progress).await;
        progress.end(pushed.is_ok());
        let Pushed { reference, digest, .. } = pushed.map_err(failure)?;
        answers.push(Answer { reference, digest });
    }
    match arguments.output.output {
        Output::Table => {
            let lines: String = answers.iter().map(|answer| format!("{}\n", answer.reference)).collect();
            print::to_stdout(&lines)
        }
        output => print::data(output, &answers, || Table::new([])),
    }
}

/// The images of a name: one for each platform.
fn find(store: &Store, text: &str) -> anyhow::Result<(Reference, Vec<Image>)> {
    let reference = text.parse::<Reference>()?.with_default_tag();
    if reference.digest().is_some() {
        return Err(PushError::ToDigest(Box::new(reference)).into());
    }
    let images = store.tagged_images(&reference)?.into_iter().filter_map(|id| store.image(&id).transpose());
    let images = images.collect::<Result<Vec<_>, _>>()?;
    if images.is_empty() {
        return Err(anyhow!(
            "{reference}: not on this machine; build it with `minato build -t {text}` (`minato images` lists what is here)"
        ));
    }
    Ok((reference, images))
}

/// What a registry refuses is an answer; that it can't be reached is none.
fn failure(error: PushError) -> Failure {
    match error {
        PushError::Request(ref request) if request.is_refusal() => Failure::Refused(error.into()),
        other => Failure::Error(other.into()),
    }
}
