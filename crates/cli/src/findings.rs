//! What the rules say of a repository.

use std::sync::Arc;

use minato_lint::{Build, Input};
use minato_resource::{Diagnostic, SourceFile};

use crate::exit::Failure;
use crate::print::{self, Printer};
use crate::repository::Repository;

/// Every finding that the command line and `minato.yaml` don't allow.
pub fn of(repository: &Repository, allow: &[String]) -> Result<Vec<Diagnostic>, Failure> {
    let mut findings = Vec::new();
    let mut parsed = Vec::new();
    for build in repository.builds() {
        let file: Arc<SourceFile> = repository.dockerfile(build)?;
        let (dockerfile, found) = minato_dockerfile::parse(&file);
        findings.extend(found);
        parsed.push((build, file, dockerfile));
    }
    // A file that can't be understood is no answer to the question whether it is good.
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::Files(findings));
    }
    let names: Vec<_> = repository.images.iter().map(|image| image.repository.clone()).collect();
    let builds: Vec<Build> = parsed
        .iter()
        .map(|(build, file, dockerfile)| Build {
            file,
            dockerfile,
            target: build.target.as_deref(),
            images: names.clone(),
        })
        .collect();
    let allowed: Vec<String> =
        allow.iter().chain(repository.configuration.allow.iter().map(|rule| &rule.value)).cloned().collect();
    findings.extend(minato_lint::check(&Input {
        builds: &builds,
        objects: &repository.objects,
        allowed: &allowed,
    }));
    Ok(findings)
}

/// Prints findings; those that are errors stop here.
pub fn refuse(printer: &Printer, findings: &[Diagnostic]) -> Result<(), Failure> {
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::Files(findings.to_vec()));
    }
    print::print_diagnostics(printer, findings);
    Ok(())
}
