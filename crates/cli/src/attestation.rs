//! What is said about an image and attached to it: `--provenance`, `--sbom`, `--attest`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail};
use minato_build::provenance::{self, Detail};
use minato_build::{Built, Request};
use minato_oci::export::{Artifact, ArtifactLayer, Export, ExportOptions};
use minato_oci::layer::{Compression, Encoding};
use minato_oci::layout::{self, Item};
use minato_oci::{Descriptor, Reference, Store};
use serde_json::Value;

use crate::fields::Fields;

/// Far above what tools write of the largest images.
const SBOM_LIMIT: u64 = 64 << 20;
const PREDICATE_ANNOTATION: &str = "in-toto.io/predicate-type";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Attestations {
    provenance: Option<Detail>,
    sbom: Option<Sbom>,
}

/// Where a bill of materials comes from.
#[derive(Debug, PartialEq, Eq)]
enum Sbom {
    /// A program: it gets the path of an OCI layout with the image, and prints SPDX or CycloneDX JSON.
    Generator(PathBuf),
    File(PathBuf),
}

impl Attestations {
    /// The last word on each kind counts.
    pub fn parse(provenance: Option<&str>, sbom: Option<&str>, attest: &[String]) -> anyhow::Result<Self> {
        let mut wanted = Self::default();
        for text in attest {
            wanted.add(text).with_context(|| format!("--attest {text}"))?;
        }
        if let Some(text) = provenance {
            wanted.provenance = provenance_of(text).with_context(|| format!("--provenance {text}"))?;
        }
        if let Some(text) = sbom {
            wanted.sbom = sbom_of(text).with_context(|| format!("--sbom {text}"))?;
        }
        Ok(wanted)
    }

    fn add(&mut self, text: &str) -> anyhow::Result<()> {
        let (kind, rest) = text.split_once(',').unwrap_or((text, "true"));
        match kind.strip_prefix("type=").unwrap_or(kind) {
            "provenance" => self.provenance = provenance_of(rest)?,
            "sbom" => self.sbom = sbom_of(rest)?,
            other => bail!("type={other} is neither provenance nor sbom"),
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is attached to `subject`, the manifest of `built`.
    pub fn artifacts(
        &self,
        store: &Store,
        request: &Request,
        built: &Built,
        names: &[Reference],
        subject: &Descriptor,
    ) -> anyhow::Result<Vec<Artifact>> {
        let mut artifacts = Vec::new();
        if let Some(detail) = self.provenance {
            let statement = provenance::statement(built, request, names, &subject.digest, detail);
            artifacts.push(in_toto(&statement, provenance::PREDICATE_TYPE));
        }
        if let Some(sbom) = &self.sbom {
            let text = sbom.read(store, built)?;
            artifacts.push(bill_of_materials(text)?);
        }
        Ok(artifacts)
    }
}

fn provenance_of(text: &str) -> anyhow::Result<Option<Detail>> {
    let Some(mut fields) = Fields::parse(text)? else {
        return match text {
            "true" | "1" => Ok(Some(Detail::Min)),
            "false" | "0" => Ok(None),
            other => bail!("{other} is none of true, false, mode=min, mode=max"),
        };
    };
    let detail = match fields.take("mode").as_deref() {
        None | Some("min") => Detail::Min,
        Some("max") => Detail::Max,
        Some(other) => bail!("mode={other} is neither min nor max"),
    };
    if fields.take("version").is_some_and(|version| version != "v1") {
        bail!("only version=v1 is written");
    }
    let disabled = fields.take_flag("disabled")?.unwrap_or(false);
    fields.nothing_left()?;
    Ok((!disabled).then_some(detail))
}

fn sbom_of(text: &str) -> anyhow::Result<Option<Sbom>> {
    let hint =
        "no generator is built in: name a program with generator=PATH or a finished document with file=PATH";
    let Some(mut fields) = Fields::parse(text)? else {
        return match text {
            "false" | "0" => Ok(None),
            _ => Err(anyhow!(hint)),
        };
    };
    let sbom = match (fields.take("generator"), fields.take("file")) {
        (Some(program), None) => Sbom::Generator(PathBuf::from(program)),
        (None, Some(file)) => Sbom::File(PathBuf::from(file)),
        (Some(_), Some(_)) => bail!("generator= and file= exclude each other"),
        (None, None) => bail!(hint),
    };
    fields.nothing_left()?;
    Ok(Some(sbom))
}

impl Sbom {
    fn read(&self, store: &Store, built: &Built) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::File(path) => {
                let read = || read_limited(fs::File::open(path)?);
                read().with_context(|| path.display().to_string())
            }
            Self::Generator(program) => {
                let place = tempfile::tempdir()?;
                let folder = place.path().join("layout");
                write_layout(store, built, &folder)?;
                generate(program, &folder).with_context(|| format!("generator {}", program.display()))
            }
        }
    }
}

fn write_layout(store: &Store, built: &Built, folder: &Path) -> anyhow::Result<()> {
    let encoding = Encoding::new(Compression::None, None)?;
    let options = ExportOptions { encoding, ..ExportOptions::default() };
    let packed = Export::plan(store, std::slice::from_ref(&built.image), options)?.pack(store)?;
    Ok(layout::write_folder(store, &[Item::new(&packed, &[])], folder)?)
}

fn generate(program: &Path, folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut child = Command::new(program).arg(folder).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or_else(|| anyhow!("it has no output"))?;
    let text = read_limited(output);
    if text.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let text = text?;
    if status.success() { Ok(text) } else { Err(anyhow!("it ended with {status}")) }
}

fn read_limited(input: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(SBOM_LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > SBOM_LIMIT {
        bail!("the document is longer than {SBOM_LIMIT} bytes");
    }
    Ok(text)
}

fn in_toto(statement: &Value, predicate: &str) -> Artifact {
    let annotations = [(PREDICATE_ANNOTATION.to_owned(), predicate.to_owned())];
    artifact(provenance::STATEMENT_TYPE, statement.to_string().into_bytes(), annotations.into())
}

/// Known by its own words, whatever made it.
fn bill_of_materials(text: Vec<u8>) -> anyhow::Result<Artifact> {
    let document: Value = serde_json::from_slice(&text).context("the bill of materials is no JSON")?;
    let kind = if document.get("spdxVersion").is_some() {
        "application/spdx+json"
    } else if document["bomFormat"] == "CycloneDX" {
        "application/vnd.cyclonedx+json"
    } else {
        bail!("the bill of materials is neither SPDX nor CycloneDX in JSON");
    };
    Ok(artifact(kind, text, Default::default()))
}

fn artifact(
    kind: &str,
    content: Vec<u8>,
    annotations: std::collections::BTreeMap<String, String>,
) -> Artifact {
    let layer = ArtifactLayer { media_type: kind.to_owned(), content, annotations: annotations.clone() };
    Artifact { artifact_type: kind.to_owned(), layers: vec![layer], annotations }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(provenance: Option<&str>, sbom: Option<&str>, attest: &[&str]) -> Result<Attestations, String> {
        let attest: Vec<String> = attest.iter().map(|&text| text.to_owned()).collect();
        Attestations::parse(provenance, sbom, &attest).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn attestations_are_asked_for_as_with_buildx() {
        let provenance = |text| parse(Some(text), None, &[]).unwrap().provenance;
        assert_eq!(
            [provenance("true"), provenance("mode=max"), provenance("false")],
            [Some(Detail::Min), Some(Detail::Max), None]
        );
        let both = parse(None, None, &["type=provenance,mode=max", "type=sbom,generator=/bin/x"]).unwrap();
        assert_eq!(both.provenance, Some(Detail::Max));
        assert_eq!(both.sbom, Some(Sbom::Generator("/bin/x".into())));
        assert!(parse(Some("false"), None, &["type=provenance"]).unwrap().is_empty());
        assert!(parse(None, Some("true"), &[]).unwrap_err().contains("no generator is built in"));
        assert!(parse(None, None, &["type=vex"]).unwrap_err().contains("neither provenance nor sbom"));
        assert!(parse(Some("mode=most"), None, &[]).unwrap_err().contains("neither min nor max"));
    }

    #[test]
    fn a_bill_of_materials_says_what_it_is() {
        let kind =
            |text: &str| bill_of_materials(text.as_bytes().to_vec()).map(|artifact| artifact.artifact_type);
        assert_eq!(kind(r#"{"spdxVersion":"SPDX-2.3"}"#).unwrap(), "application/spdx+json");
        assert_eq!(kind(r#"{"bomFormat":"CycloneDX"}"#).unwrap(), "application/vnd.cyclonedx+json");
        assert!(kind("{}").is_err() && kind("SPDX").is_err());
    }
}
