//! What a declared Application desires at one revision, as its engine takes it.

use std::collections::BTreeMap;

use anyhow::anyhow;
use minato_oci::Digest;
use minato_resource::Object;
use minato_sync::{Application, ApplicationSource, Context, Owner, Source};

use crate::adapter::secrets_around;
use crate::declared::Declared;
use crate::engine::{self, Engine};
use crate::exit::Failure;
use crate::findings;
use crate::images;
use crate::machine::Machine;
use crate::print::Printer;

/// Desired Objects of one revision.
pub struct Desired {
    pub revision: String,
    /// Those that the engine takes.
    pub objects: Vec<Object>,
    /// Image as the Objects write it → its identity on this machine; empty for engines that pull themselves.
    pub images: BTreeMap<String, Digest>,
}

impl Desired {
    /// What is known of it before anything is applied.
    pub fn context(&self, application: &Application) -> Context {
        Context {
            owner: Owner::new(application.name.clone()),
            revision: self.revision.clone(),
            desired: self.objects.clone().into(),
            images: self.images.clone().into(),
            applied: Vec::new(),
            retry: Vec::new(),
        }
    }
}

/// Resolves, loads and prepares what `declared` desires at `revision`, or at its own `targetRevision`, and opens the engine
/// that it is for. Files that are wrong are a [`Failure::Files`]; what is left out or has no effect is warned of.
pub async fn prepare(
    machine: &Machine,
    printer: &Printer,
    declared: &Declared,
    revision: Option<&str>,
) -> Result<(Engine, Desired), Failure> {
    let application = &declared.application;
    let (revision, objects) = load(machine, printer, declared, revision).await?;
    let (objects, left_out) = engine::part(&application.destination, objects);
    say_left_out(printer, application, &left_out);
    findings::refuse(printer, &minato_sync::not_acted_on(&objects))?;
    let engine = Engine::of(machine, application, secrets_around(declared.folder())?, &objects).await?;
    let (objects, found) = engine.resolve(objects).await?;
    findings::refuse(printer, &found)?;
    let images = match engine.runs_images_here() {
        true => images::at_hand(machine, printer, &objects).await?,
        false => BTreeMap::new(),
    };
    let desired = Desired { revision, objects, images };
    findings::refuse(printer, &engine.check(&desired.context(application)).await?)?;
    Ok((engine, desired))
}

/// The Objects of every source, and the revision's name.
pub async fn load(
    machine: &Machine,
    printer: &Printer,
    declared: &Declared,
    revision: Option<&str>,
) -> Result<(String, Vec<Object>), Failure> {
    let application = &declared.application;
    let sources = at_revision(&application.sources, revision)?;
    if sources.is_empty() {
        return Err(Failure::Error(anyhow!("application {}: it has no `spec.source`", application.name)));
    }
    let from = declared.sources(machine);
    let (mut revisions, mut objects) = (Vec::new(), Vec::new());
    for source in &sources {
        let step = printer.step(&format!("read {}", application.name));
        step.doing("its source");
        let revision = from.resolve(source).await?;
        let loaded = from.load(source, &revision).await?;
        drop(step);
        findings::refuse(printer, &loaded.diagnostics)?;
        revisions.push(revision);
        objects.extend(loaded.objects);
    }
    // Its own document beside its manifests is not one of them.
    objects.retain(|object| !is_own_document(object, application));
    revisions.dedup();
    Ok((revisions.join("+"), objects))
}

fn at_revision(
    sources: &[ApplicationSource],
    revision: Option<&str>,
) -> anyhow::Result<Vec<ApplicationSource>> {
    match (sources, revision) {
        (sources, None) => Ok(sources.to_vec()),
        ([source], Some(revision)) => {
            Ok(vec![ApplicationSource { target_revision: Some(revision.to_owned()), ..source.clone() }])
        }
        (several, Some(_)) => {
            Err(anyhow!("--revision is for an Application with one source; this one has {}", several.len()))
        }
    }
}

fn is_own_document(object: &Object, application: &Application) -> bool {
    object.key().is("argoproj.io", "Application") && object.name() == application.name.as_str()
}

/// Once for each kind: a folder may hold hundreds of Objects for another engine.
fn say_left_out(printer: &Printer, application: &Application, left_out: &[Object]) {
    let mut kinds: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
    for object in left_out {
        let key = object.key();
        let kind =
            if key.group.is_empty() { key.kind.clone() } else { format!("{}/{}", key.group, key.kind) };
        kinds.entry(kind).or_default().push(object);
    }
    for (kind, objects) in kinds {
        let which = match objects.as_slice() {
            [one] => one.name().to_owned(),
            several => format!("{} and {} more", several[0].name(), several.len() - 1),
        };
        printer.warning(&format!(
            "{kind} {which} is left out: {}",
            engine::why_not(&application.destination, objects[0].key())
        ));
    }
}
