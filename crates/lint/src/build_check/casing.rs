//! How keywords and lines are written.

use minato_dockerfile::{Dockerfile, Word};
use minato_resource::Span;

use super::analysis::Analysis;
use crate::rule::Finding;

/// A FROM in both cases is [`instructions`]' to tell.
pub(super) fn from_as(analysis: &Analysis<'_>) -> Vec<Finding> {
    let found = analysis.dockerfile().stages.iter().filter_map(|stage| {
        let from = stage.from.keyword.raw.as_str();
        let name = stage.from.value.name.as_ref()?;
        let between = Span::new(stage.from.value.image.span.end, name.span.start);
        let (span, written) = keyword_as(analysis, between)?;
        let wanted = if is_lower(from) {
            written.to_lowercase()
        } else if is_upper(from) {
            written.to_uppercase()
        } else {
            return None;
        };
        let message = format!("{written} is not written in the case of {from}");
        (wanted != written).then(|| Finding::at(span, message, format!("write {wanted}")))
    });
    found.collect()
}

/// The last word `as` in a part of the file: comments may stand before it.
fn keyword_as<'a>(analysis: &Analysis<'a>, between: Span) -> Option<(Span, &'a str)> {
    let text = analysis.build.file.text().get(between.start..between.end)?;
    let at = text.to_ascii_lowercase().rfind("as")?;
    let span = Span::new(between.start + at, between.start + at + 2);
    Some((span, &text[at..at + 2]))
}

pub(super) fn blank_lines(analysis: &Analysis<'_>) -> Vec<Finding> {
    let dockerfile = analysis.dockerfile();
    let args = dockerfile.global_args.iter().map(|it| it.blank_line);
    let stages = dockerfile.stages.iter().flat_map(|stage| {
        let own = stage.instructions.iter().map(|it| it.blank_line);
        std::iter::once(stage.from.blank_line).chain(own)
    });
    let finding = |blank| {
        let message = "a blank line inside an instruction that goes on; later versions refuse it";
        Finding::at(blank, message, "remove it, or start it with #")
    };
    args.chain(stages).flatten().map(finding).collect()
}

pub(super) fn instructions(analysis: &Analysis<'_>) -> Vec<Finding> {
    let keywords = keywords(analysis.dockerfile());
    let lower = keywords.iter().filter(|word| is_lower(&word.raw)).count();
    let upper = keywords.iter().filter(|word| is_upper(&word.raw) && !is_lower(&word.raw)).count();
    let found = keywords.into_iter().filter_map(|word| {
        let wanted = if lower > upper { word.raw.to_lowercase() } else { word.raw.to_uppercase() };
        let case = if lower > upper { "lower" } else { "upper" };
        let message = format!("most instructions are in {case} case, and {} is not", word.raw);
        (wanted != word.raw).then(|| Finding::at(word.span, message, format!("write {wanted}")))
    });
    found.collect()
}

fn keywords(dockerfile: &Dockerfile) -> Vec<&Word> {
    let of_stages = dockerfile.stages.iter().flat_map(|stage| {
        std::iter::once(&stage.from.keyword).chain(stage.instructions.iter().map(|it| &it.keyword))
    });
    of_stages.collect()
}

fn is_lower(word: &str) -> bool {
    word == word.to_lowercase()
}

fn is_upper(word: &str) -> bool {
    word == word.to_uppercase()
}
