//! In which order objects come out, and what is noted on them: `sortOptions` and `buildMetadata`.

use minato_resource::Diagnostic;
use minato_resource::document::Node;

use super::fields::*;
use crate::decode::{Decoder, Spanned};
use crate::order::KindOrder;

pub(super) fn sort_options(decoder: &mut Decoder<'_>, node: &Node) -> Option<Spanned<SortOptions>> {
    if node.is_null() {
        return None;
    }
    let (mut order, mut legacy) = (Spanned { value: String::new(), span: node.span }, None);
    for (name, node) in decoder.fields(node, "`sortOptions`", &["order", "legacySortOptions"]) {
        match name {
            "order" => order = decoder.spanned_text(node),
            _ if node.is_null() => {}
            _ => legacy = Some((kind_order(decoder, node), node.span)),
        }
    }
    let span = order.span;
    let refuse = |decoder: &mut Decoder<'_>, message: String| {
        decoder.diagnostics.push(Diagnostic::error("sort-options", message, decoder.file, span));
    };
    match (order.value.as_str(), legacy) {
        ("fifo", None) => Some(Spanned { value: SortOptions::Fifo, span }),
        ("fifo", Some(_)) => {
            refuse(decoder, "`legacySortOptions` need the order `legacy`".to_owned());
            None
        }
        ("legacy", legacy) => {
            let order = legacy.map_or_else(KindOrder::default, |(order, _)| order);
            Some(Spanned { value: SortOptions::Legacy(order), span })
        }
        (other, _) => {
            refuse(decoder, format!("`order` is `{other}`, and must be `fifo` or `legacy`"));
            None
        }
    }
}

fn kind_order(decoder: &mut Decoder<'_>, node: &Node) -> KindOrder {
    let mut order = KindOrder { first: Vec::new(), last: Vec::new() };
    for (name, node) in decoder.fields(node, "`legacySortOptions`", &["orderFirst", "orderLast"]) {
        match name {
            "orderFirst" => order.first = decoder.plain_texts(node),
            _ => order.last = decoder.plain_texts(node),
        }
    }
    order
}

pub(super) fn build_metadata(decoder: &mut Decoder<'_>, node: &Node) -> BuildMetadata {
    let options = decoder.plain_texts(node);
    let has = |wanted: &str| options.iter().any(|option| option == wanted);
    BuildMetadata {
        any: !options.is_empty(),
        origins: has("originAnnotations"),
        transformations: has("transformerAnnotations"),
        managed_by: has("managedByLabel"),
    }
}
