//! An Application as its file declares it, or as it is remembered: what `sync` brings out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use minato_resource::{Diagnostic, Object, SourceFile, parse_json, parse_yaml};
use minato_source::GitSources;
use minato_sync::{Application, ApplicationRecord};
use serde_json::{Value, json};

use crate::application::{self, FILE_ANNOTATION};
use crate::exit::Failure;
use crate::machine::Machine;

/// The largest file of an Application, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A declared Application.
pub struct Declared {
    pub application: Application,
    /// Its document, to be remembered.
    pub document: Value,
    /// The file that declares it.
    file: PathBuf,
    /// Findings of reading; none is an error.
    pub warnings: Vec<Diagnostic>,
}

impl Declared {
    /// Reads the file of an Application. What is wrong in it is a [`Failure::Files`] with every finding.
    pub fn read(file: &Path) -> Result<Declared, Failure> {
        let (objects, mut findings) = parse(file)?;
        let object = the_application(file, &objects, &findings)?;
        let (application, found) = Application::parse(object);
        findings.extend(found);
        if findings.iter().any(Diagnostic::is_error) {
            return Err(Failure::Files(findings));
        }
        let application =
            application.ok_or_else(|| anyhow!("{}: the Application can't be read", file.display()))?;
        let file = std::path::absolute(file)?;
        let mut document = object.value().clone();
        document["metadata"]["annotations"][FILE_ANNOTATION] = json!(file);
        Ok(Declared { application, document, file, warnings: findings })
    }

    /// An Application as it was when it was last brought out by `sync`.
    ///
    /// # Errors
    /// `up` brought it out, from a work tree.
    pub fn remembered(record: &ApplicationRecord) -> anyhow::Result<Declared> {
        let name = &record.name;
        let file = application::file(record).ok_or_else(|| {
            anyhow!("application {name} was deployed by `minato up`; run that again, or give its Application with -f FILE")
        })?;
        let application = application::parsed(record)?;
        Ok(Declared { application, document: record.document.clone(), file, warnings: Vec::new() })
    }

    /// The folder of its file: what a relative `repoURL` is relative to.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// Where its Objects come from.
    pub fn sources(&self, machine: &Machine) -> GitSources {
        GitSources::new(&machine.data().join("sources"), self.folder())
    }
}

fn parse(file: &Path) -> anyhow::Result<(Vec<Object>, Vec<Diagnostic>)> {
    let place = || file.display().to_string();
    let size = std::fs::metadata(file).with_context(place)?.len();
    if size > MAX_BYTES {
        return Err(anyhow!("{}: {size} bytes are more than an Application has", place()));
    }
    let text = Arc::new(SourceFile::from_bytes(file, std::fs::read(file).with_context(place)?)?);
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    Ok(if is_json { parse_json(&text) } else { parse_yaml(&text) })
}

/// The only Application among the documents of a file.
fn the_application<'a>(
    file: &Path,
    objects: &'a [Object],
    findings: &[Diagnostic],
) -> Result<&'a Object, Failure> {
    let mut applications = objects.iter().filter(|object| object.key().is("argoproj.io", "Application"));
    match (applications.next(), applications.next()) {
        (Some(object), None) => Ok(object),
        (Some(first), Some(second)) => Err(Failure::Error(anyhow!(
            "{}: it holds several Applications ({}, {}, …); keep each in a file of its own",
            file.display(),
            first.name(),
            second.name()
        ))),
        _ if findings.iter().any(Diagnostic::is_error) => Err(Failure::Files(findings.to_vec())),
        _ => Err(Failure::Error(anyhow!(
            "{}: it holds no Argo CD Application (apiVersion argoproj.io/v1alpha1, kind Application)",
            file.display()
        ))),
    }
}
