//! `minato registry inspect`: what a name stands for.

use anyhow::Context;
use minato_oci::{Descriptor, Digest, ManifestDocument, Platform, Reference};
use minato_registry::{Client, Document};
use serde::Serialize;
use serde_json::Value;

use super::failure;
use crate::arguments::InspectArguments;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer, Table, size};

/// Docker refuses longer ones as well.
const CONFIG_LIMIT: u64 = 8 << 20;

/// A manifest or index, as `-o json` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    reference: String,
    digest: Digest,
    media_type: String,
    size: u64,
    /// As the registry has it.
    document: Value,
    /// Of an image, its config.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
}

pub async fn run(machine: &Machine, _: &Printer, arguments: &InspectArguments) -> Result<(), Failure> {
    let reference: Reference = arguments.reference.parse().map_err(anyhow::Error::from)?;
    let client = machine.registry_client()?;
    let document = match &arguments.platform {
        None => client.document(&reference, &()).await,
        Some(platform) => {
            let platform: Platform = platform.parse().context("--platform")?;
            let chosen = client.resolve(&reference, &platform).await.map_err(failure)?;
            client.document(&reference.with_digest(chosen.descriptor.digest), &()).await
        }
    };
    let document = document.map_err(failure)?;
    if arguments.raw {
        let text = String::from_utf8_lossy(&document.bytes);
        return print::to_stdout(&text);
    }
    let answer = answer(&client, &reference, &document).await?;
    print::data(arguments.output.output, &answer, || table(&document))
}

async fn answer(client: &Client, reference: &Reference, document: &Document) -> Result<Answer, Failure> {
    let config = match &document.document {
        ManifestDocument::Manifest(manifest) => {
            let bytes = client.blob(reference, &manifest.config, CONFIG_LIMIT, &()).await.map_err(failure)?;
            // Of an artifact it may be anything.
            serde_json::from_slice(&bytes).ok()
        }
        ManifestDocument::Index(_) => None,
    };
    Ok(Answer {
        reference: reference.with_default_tag().familiar(),
        digest: document.descriptor.digest,
        media_type: document.descriptor.media_type.clone(),
        size: document.descriptor.size,
        document: serde_json::from_slice(&document.bytes).map_err(anyhow::Error::from)?,
        config,
    })
}

/// The entries of an index, or the blobs of an image.
fn table(document: &Document) -> Table {
    let mut table = Table::new(["WHAT", "DIGEST", "SIZE", "MEDIA TYPE"]);
    let mut row = |what: String, entry: &Descriptor| {
        table.row([what, entry.digest.to_string(), size(entry.size), entry.media_type.clone()]);
    };
    match &document.document {
        ManifestDocument::Index(index) => {
            row("index".to_owned(), &document.descriptor);
            for entry in &index.manifests {
                let platform = entry.platform.as_ref().map(ToString::to_string);
                row(platform.unwrap_or_else(|| "manifest".to_owned()), entry);
            }
        }
        ManifestDocument::Manifest(manifest) => {
            row("manifest".to_owned(), &document.descriptor);
            row("config".to_owned(), &manifest.config);
            manifest.layers.iter().for_each(|layer| row("layer".to_owned(), layer));
        }
    }
    table
}
