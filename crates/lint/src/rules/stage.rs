//! `unknown-stage`: `--from` that means a stage and finds none, so an image of that name would be pulled.

use minato_dockerfile::Word;
use minato_resource::nearest;

use crate::rule::Finding;
use crate::subject::{Dockerfile, is_named, sources_of};

pub(crate) fn in_dockerfile(subject: &Dockerfile<'_>) -> Vec<Finding> {
    let stages = &subject.build.dockerfile.stages;
    stages.iter().flat_map(sources_of).filter_map(|word| unknown(word, subject)).collect()
}

fn unknown(word: &Word, subject: &Dockerfile<'_>) -> Option<Finding> {
    let stages = &subject.build.dockerfile.stages;
    let name = word.raw.as_str();
    if let Ok(number) = name.parse::<usize>() {
        let last = stages.len().checked_sub(1)?;
        let message = format!("there is no stage {number}; the last one is {last}");
        return (number > last)
            .then(|| Finding::at(word.span, message, "name the stages: FROM IMAGE AS NAME"));
    }
    // A name with a tag, a registry or a folder is meant as an image.
    if name.contains(['/', ':', '@', '$']) || stages.iter().any(|stage| is_named(stage, name)) {
        return None;
    }
    let names = stages.iter().filter_map(|stage| stage.from.value.name.as_ref()).map(|it| it.raw.as_str());
    let meant = nearest(name, names)?;
    Some(Finding::at(word.span, format!("there is no stage {name}"), format!("did you mean {meant}?")))
}
