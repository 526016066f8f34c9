//! What the rules say of a repository.

use std::sync::Arc;

use minato_dockerfile::Dockerfile;
use minato_dockerfile::ignore::Ignore;
use minato_lint::{Build, Input};
use minato_resource::{Diagnostic, SourceFile};
use minato_source::ImageBuild;

use crate::exit::Failure;
use crate::images;
use crate::print::{self, Printer};
use crate::repository::Repository;

/// Every finding that the command line and `minato.yaml` don't allow. `build_arguments` are those of `--build-arg`.
pub fn of(
    repository: &Repository,
    allow: &[String],
    build_arguments: &[String],
) -> Result<Vec<Diagnostic>, Failure> {
    let arguments = images::build_arguments(build_arguments)?;
    let mut findings = Vec::new();
    let mut parsed = Vec::new();
    for build in repository.builds() {
        let (read, found) = Parsed::read(repository, build)?;
        findings.extend(found);
        parsed.push(read);
    }
    // A file that can't be understood is no answer to the question whether it is good.
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::Files(findings));
    }
    let names: Vec<_> = repository.images.iter().map(|image| image.repository.clone()).collect();
    let builds: Vec<Build> = parsed
        .iter()
        .map(|it| Build {
            target: it.build.target.as_deref(),
            images: names.clone(),
            arguments: arguments.clone(),
            ignore: it.ignore.as_ref(),
            ..Build::new(&it.file, &it.dockerfile)
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

/// The files of one image.
struct Parsed<'a> {
    build: &'a ImageBuild,
    file: Arc<SourceFile>,
    dockerfile: Dockerfile,
    ignore: Option<Ignore>,
}

impl<'a> Parsed<'a> {
    fn read(
        repository: &Repository,
        build: &'a ImageBuild,
    ) -> Result<(Parsed<'a>, Vec<Diagnostic>), Failure> {
        let file = repository.dockerfile(build)?;
        let (dockerfile, mut findings) = minato_dockerfile::parse(&file);
        let context = repository.tree.root().join(&build.context);
        let ignore = images::ignore_file(&context, file.path())?.map(|file| Ignore::parse(&file));
        let (ignore, found) = ignore.unzip();
        findings.extend(found.unwrap_or_default());
        Ok((Parsed { build, file, dockerfile, ignore }, findings))
    }
}

/// Prints findings; those that are errors stop here.
pub fn refuse(printer: &Printer, findings: &[Diagnostic]) -> Result<(), Failure> {
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::Files(findings.to_vec()));
    }
    print::print_diagnostics(printer, findings);
    Ok(())
}
