//! Entries of `configMapGenerator` and `secretGenerator`, and their options.

use minato_resource::document::Node;

use super::fields::*;
use crate::decode::Decoder;
use crate::resource::Behaviour;

/// An entry of `configMapGenerator` or `secretGenerator`.
pub(crate) fn read_sources(decoder: &mut Decoder<'_>, node: &Node) -> Generator {
    const KNOWN: [&str; 9] =
        ["name", "namespace", "behavior", "literals", "files", "envs", "env", "options", "type"];
    let mut generator = Generator::default();
    let mut env = None;
    for (name, node) in decoder.fields(node, "a generator", &KNOWN) {
        match name {
            "name" => generator.name = decoder.text(node),
            "namespace" => generator.namespace = decoder.text(node),
            "behavior" => generator.behaviour = behaviour(&decoder.text(node)),
            "literals" => generator.literals = decoder.texts(node),
            "files" => generator.files = decoder.texts(node),
            "envs" => generator.envs = decoder.texts(node),
            "env" => env = Some(decoder.spanned_text(node)).filter(|env| !env.value.is_empty()),
            "options" => generator.options = generator_options(decoder, node),
            _ => generator.secret_type = decoder.text(node),
        }
    }
    generator.envs.extend(env);
    generator
}

fn behaviour(text: &str) -> Behaviour {
    match text {
        "replace" => Behaviour::Replace,
        "merge" => Behaviour::Merge,
        _ => Behaviour::Create,
    }
}

pub(super) fn generator_options(decoder: &mut Decoder<'_>, node: &Node) -> GeneratorOptions {
    const KNOWN: [&str; 4] = ["labels", "annotations", "disableNameSuffixHash", "immutable"];
    let mut options = GeneratorOptions::default();
    for (name, node) in decoder.fields(node, "generator options", &KNOWN) {
        match name {
            "labels" => options.labels = decoder.text_map(node),
            "annotations" => options.annotations = decoder.text_map(node),
            "disableNameSuffixHash" => options.disable_name_suffix_hash = decoder.boolean(node),
            _ => options.immutable = decoder.boolean(node),
        }
    }
    options
}
