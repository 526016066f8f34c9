//! The image of a FROM.

use minato_dockerfile::Word;
use minato_oci::Reference;
use minato_resource::nearest;

use super::analysis::Analysis;
use super::environment::Environment;
use crate::rule::Finding;

pub(super) fn undefined(analysis: &Analysis<'_>) -> Vec<Finding> {
    let words = analysis.dockerfile().stages.iter().flat_map(|stage| {
        let from = &stage.from.value;
        std::iter::once(&from.image).chain(&from.platform)
    });
    words.flat_map(|word| undefined_in(word, &analysis.globals)).collect()
}

fn undefined_in(word: &Word, globals: &Environment) -> Vec<Finding> {
    let missing = globals.expand(word).missing;
    let undefined = missing.iter().filter(|name| !globals.declares(name));
    let finding = |name: &String| {
        let hint = match nearest(name, globals.names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("put ARG {name}=DEFAULT above the first FROM"),
        };
        let message = format!("the variable {name} is not declared before the first FROM");
        Finding::at(word.span, message, hint)
    };
    undefined.map(finding).collect()
}

/// What the command line gives does not count here: the file should build without it.
pub(super) fn without_arguments(analysis: &Analysis<'_>) -> Vec<Finding> {
    let defaults = Environment::of_defaults(analysis.dockerfile(), analysis.build.target);
    let mut found = Vec::new();
    for stage in &analysis.dockerfile().stages {
        let word = &stage.from.value.image;
        // What can't be expanded is an error of its own.
        let Some(image) = defaults.expand(word).text else { return found };
        if !is_layout(&image) && image.parse::<Reference>().is_err() {
            let message = format!("without --build-arg {} is {image:?}, which names no image", word.raw);
            let hint = "give the ARG above the first FROM a default: ARG NAME=VALUE";
            found.push(Finding::at(word.span, message, hint));
        }
    }
    found
}

fn is_layout(image: &str) -> bool {
    image.starts_with("oci-layout://")
}
