//! `BuildKit`'s build checks around `minato build`: warnings before it starts, or the answer of `--check`.

use std::fmt;

use minato_build::Request;
use minato_dockerfile::ignore::Ignore;
use minato_lint::{BaseImage, BaseImages, Build, CheckedStages, build_checks};
use minato_oci::{Reference, Store};
use minato_resource::Diagnostic;

use crate::arguments::Output;
use crate::exit::Failure;
use crate::print::{self, Printer, Table, style, styled};

/// Prints what the checks find in what is going to be built. Findings that are errors stop here.
pub fn before(printer: &Printer, store: &Store, request: &Request) -> Result<(), Failure> {
    // A file that can't be understood is the builder's to report.
    let Ok(found) = findings(store, request, CheckedStages::Built) else { return Ok(()) };
    print::print_diagnostics(printer, &found);
    if found.iter().any(Diagnostic::is_error) {
        printer.line(&format!("{}; nothing was built", print::summary_of(&found)));
        return Err(Failure::No);
    }
    Ok(())
}

/// Prints what the checks find in all stages, or in those of the target, as an answer: a finding is a no.
pub fn answer(printer: &Printer, store: &Store, request: &Request, output: Output) -> Result<(), Failure> {
    let found = findings(store, request, CheckedStages::All).map_err(Failure::Files)?;
    match output {
        Output::Table if found.is_empty() => printer.line(&styled(style::GOOD, "no findings")),
        Output::Table => {
            print::to_stdout(&print::rendered(&found))?;
            printer.line(&print::summary_of(&found));
        }
        output => print::data(output, &found, || Table::new([]))?,
    }
    if found.is_empty() { Ok(()) } else { Err(Failure::No) }
}

/// What the checks find, or else the mistakes for which the files can't be understood.
fn findings(
    store: &Store,
    request: &Request,
    stages: CheckedStages,
) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let (dockerfile, mut mistakes) = minato_dockerfile::parse(&request.dockerfile);
    let (ignore, found) = request.ignore.as_ref().map(Ignore::parse).unzip();
    mistakes.extend(found.unwrap_or_default());
    if mistakes.iter().any(Diagnostic::is_error) {
        return Err(mistakes);
    }
    let build = Build {
        target: request.target.as_deref(),
        arguments: request.arguments.clone(),
        ignore: ignore.as_ref(),
        bases: &InStore(store),
        platform: Some(request.platform.clone()),
        stages,
        ..Build::new(&request.dockerfile, &dockerfile)
    };
    mistakes.extend(build_checks(&build, &[]));
    Ok(mistakes)
}

/// The base images that this machine has already.
struct InStore<'a>(&'a Store);

impl fmt::Debug for InStore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InStore")
    }
}

impl BaseImages for InStore<'_> {
    fn base_image(&self, image: &str) -> Option<BaseImage> {
        let reference: Reference = image.parse().ok()?;
        let id = self.0.resolve(&reference).ok()??;
        let config = self.0.image(&id).ok()??.config;
        let pair = |variable: &String| {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            (name.to_owned(), value.to_owned())
        };
        Some(BaseImage {
            environment: config.config.env.iter().map(pair).collect(),
            platform: format!("{}/{}", config.os, config.architecture).parse().ok(),
            has_shell: config.config.shell.is_some(),
        })
    }
}
