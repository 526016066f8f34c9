//! `latest-image`: what runs must not change without a change in Git.

use minato_dockerfile::{Stage, Word};
use minato_oci::Reference;

use crate::rule::Finding;
use crate::scope::Scope;
use crate::subject::{Container, Dockerfile, Pod, Task, is_named, sources_of};

pub(crate) fn in_dockerfile(subject: &Dockerfile<'_>) -> Vec<Finding> {
    let stages = &subject.build.dockerfile.stages;
    let globals = Scope::of_globals(subject.build.dockerfile);
    let mut findings = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        // FROM names earlier stages only, COPY --from and mounts too; a number is a stage in the latter.
        findings.extend(finding_for(&stage.from.value.image, &globals, &stages[..index], false));
        for word in sources_of(stage) {
            findings.extend(finding_for(word, &globals, stages, true));
        }
    }
    findings
}

fn finding_for(word: &Word, globals: &Scope, stages: &[Stage], numbers: bool) -> Option<Finding> {
    let image = globals.resolve(word)?;
    let stage = stages.iter().any(|stage| is_named(stage, &image));
    if stage || image == "scratch" || (numbers && image.parse::<usize>().is_ok()) {
        return None;
    }
    let (message, hint) = judge(&image)?;
    Some(Finding::at(word.span, message, hint))
}

pub(crate) fn in_pod(pod: &Pod<'_>) -> Vec<Finding> {
    in_containers(&pod.containers(), pod.input)
}

pub(crate) fn in_task(task: &Task<'_>) -> Vec<Finding> {
    in_containers(&task.containers(), task.input)
}

fn in_containers(containers: &[Container<'_>], input: &crate::Input<'_>) -> Vec<Finding> {
    let foreign = containers.iter().filter_map(|container| {
        let image = container.text("/image")?;
        let ours = image.parse().is_ok_and(|image: Reference| input.build_of(&image).is_some());
        let (message, hint) = if ours { None } else { judge(image) }?;
        Some(Finding::of(format!("{}/image", container.pointer), message, hint))
    });
    foreign.collect()
}

/// Message and hint for an image that is not pinned. What is no reference at all is another check's matter.
fn judge(image: &str) -> Option<(String, String)> {
    let reference: Reference = image.parse().ok()?;
    if reference.digest().is_some() {
        return None;
    }
    let name = reference.familiar();
    let name = name.split_once(':').map_or(name.as_str(), |(name, _)| name);
    let problem = match written_tag(image) {
        None => "no tag",
        Some("latest") => "the tag latest",
        Some(_) => return None,
    };
    let message = format!("the image {image} has {problem}, so it can change at any time");
    Some((message, format!("name a version: {name}:VERSION, or a digest: {name}@sha256:…")))
}

/// The tag as it stands in the text, behind the last slash, so that a registry's port is none.
fn written_tag(image: &str) -> Option<&str> {
    image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag)
}
