//! `minato copy`: images between registries, folders, archives and this machine.

mod by_store;

use anyhow::{Context, anyhow};
use minato_oci::{Digest, Platform, Reference};
use minato_registry::{Client, CopyError, CopyOptions, Place, PushError, ResolveError};
use serde::Serialize;

use crate::adapter::PullProgress;
use crate::arguments::{CopyArguments, Output};
use crate::exit::Failure;
use crate::image_place::ImagePlace;
use crate::machine::Machine;
use crate::print::{self, Printer, Table};

/// One image that is at its new place now, as `-o json` shows it.
#[derive(Serialize)]
struct Answer {
    source: String,
    target: String,
    digest: Digest,
    /// Bytes of blobs that were sent; what was there, or was mounted, is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
}

pub async fn run(machine: &Machine, printer: &Printer, arguments: &CopyArguments) -> Result<(), Failure> {
    let source: ImagePlace = arguments.source.parse().context("SOURCE")?;
    let target: ImagePlace = arguments.target.parse().context("TARGET")?;
    let platform = arguments.platform.as_deref().map(str::parse).transpose().context("--platform")?;
    let answers = match (source, target) {
        (ImagePlace::Documents(source), ImagePlace::Documents(target)) => {
            let client = machine.registry_client()?;
            let copy = Copy { client, printer, arguments, platform };
            copy.all(source, target).await?
        }
        (source, target) => {
            if arguments.referrers || arguments.all_tags {
                let flag = if arguments.referrers { "--referrers" } else { "--all-tags" };
                let error = anyhow!("{flag} works between registries and OCI layouts only");
                return Err(Failure::Error(error));
            }
            let digest = by_store::copy(machine, printer, arguments, &source, &target, platform).await?;
            vec![Answer::new(arguments.source.clone(), arguments.target.clone(), digest, None)]
        }
    };
    match arguments.output.output {
        Output::Table => {
            let lines: String =
                answers.iter().map(|answer| format!("{}@{}\n", answer.target, answer.digest)).collect();
            print::to_stdout(&lines)
        }
        output => print::data(output, &answers, || Table::new([])),
    }
}

struct Copy<'a> {
    client: Client,
    printer: &'a Printer,
    arguments: &'a CopyArguments,
    platform: Option<Platform>,
}

impl Copy<'_> {
    async fn all(&self, source: Place, target: Place) -> Result<Vec<Answer>, Failure> {
        if !self.arguments.all_tags {
            return Ok(vec![self.one(&source, &target).await?]);
        }
        let (Place::Registry(repository), true) = (&source, is_untagged(&source) && is_untagged(&target))
        else {
            let expected = "--all-tags: expected two names without a tag, the first of a registry";
            return Err(Failure::Error(anyhow!(expected)));
        };
        let mut answers = Vec::new();
        for tag in self.client.tags(repository, &()).await.map_err(|error| failure(error.into()))? {
            let source = Place::Registry(repository.with_tag(&tag).map_err(anyhow::Error::from)?);
            answers.push(self.one(&source, &target).await?);
        }
        Ok(answers)
    }

    async fn one(&self, source: &Place, target: &Place) -> Result<Answer, Failure> {
        let options = CopyOptions {
            platform: self.platform.clone(),
            referrers: self.arguments.referrers,
            tags: self.arguments.tag.clone(),
        };
        let progress = PullProgress::named(self.printer, &format!("copy {}", shown(source)));
        let copied = self.client.copy(source, target, &options, &progress).await;
        progress.end(copied.is_ok());
        let copied = copied.map_err(failure)?;
        Ok(Answer::new(shown(source), shown(target), copied.digest, Some(copied.sent)))
    }
}

impl Answer {
    fn new(source: String, target: String, digest: Digest, sent: Option<u64>) -> Self {
        Self { source, target, digest, sent }
    }
}

fn is_untagged(place: &Place) -> bool {
    match place {
        Place::Registry(reference) => reference.tag().is_none() && reference.digest().is_none(),
        Place::Layout { name, .. } => name.is_none(),
    }
}

fn shown(place: &Place) -> String {
    match place {
        Place::Registry(reference) => reference.familiar(),
        Place::Layout { folder, name } => {
            let name = name.as_ref().map(|name| format!(":{name}")).unwrap_or_default();
            format!("oci-layout://{}{name}", folder.display())
        }
    }
}

/// What a registry refuses is an answer; that it can't be reached is none.
fn failure(error: CopyError) -> Failure {
    let refused = match &error {
        CopyError::Request(request)
        | CopyError::Push(PushError::Request(request))
        | CopyError::Resolve(ResolveError::Request(request)) => request.is_refusal(),
        CopyError::Platform { .. } | CopyError::Digest { .. } => true,
        _ => false,
    };
    if refused { Failure::Refused(error.into()) } else { Failure::Error(error.into()) }
}

/// The name that an image gets where nothing else names it.
fn name_of(place: &ImagePlace) -> Option<Reference> {
    match place {
        ImagePlace::Documents(Place::Registry(reference)) | ImagePlace::Local(reference) => {
            Some(reference.clone())
        }
        ImagePlace::Documents(Place::Layout { name, .. }) => name.as_ref()?.parse().ok(),
        ImagePlace::Archive { name, .. } => name.clone(),
    }
}
