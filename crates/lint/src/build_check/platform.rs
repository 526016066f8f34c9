//! `FROM --platform`.

use minato_oci::Platform;

use super::analysis::{Analysis, StageFacts};
use crate::rule::Finding;

const TARGET: &str = "TARGETPLATFORM";

pub(super) fn redundant(analysis: &Analysis<'_>) -> Vec<Finding> {
    let found = analysis.dockerfile().stages.iter().filter_map(|stage| {
        let word = stage.from.value.platform.as_ref()?;
        let expanded = analysis.globals.expand(word);
        let alone = expanded.missing.is_empty() && expanded.found.iter().eq([TARGET]);
        let same = expanded.text.as_deref() == analysis.globals.value(TARGET);
        let message = format!("{} is the platform without --platform, too", word.raw);
        (alone && same).then(|| Finding::at(word.span, message, "leave --platform out"))
    });
    found.collect()
}

/// A stage whose name tells its platform is meant to be of that platform.
pub(super) fn fixed(analysis: &Analysis<'_>) -> Vec<Finding> {
    let found = analysis.dockerfile().stages.iter().filter_map(|stage| {
        let word = stage.from.value.platform.as_ref()?;
        let expanded = analysis.globals.expand(word);
        if !expanded.found.is_empty() || !expanded.missing.is_empty() {
            return None;
        }
        let platform = parse(&expanded.text?)?;
        let name = stage.from.value.name.as_ref().map_or("", |name| name.raw.as_str());
        let meant = name.contains(&platform.os) || name.contains(&platform.architecture);
        let message = format!("--platform={} holds for whatever the image is built for", word.raw);
        let hint = format!("use $BUILDPLATFORM or build with --platform {}", word.raw);
        (!meant).then(|| Finding::at(word.span, message, hint))
    });
    found.collect()
}

/// `linux/amd64`, or one half of it: the other half is this machine's.
fn parse(text: &str) -> Option<Platform> {
    if text.contains('/') {
        return text.parse().ok();
    }
    let host = Platform::host();
    match text {
        "linux" | "windows" | "darwin" | "freebsd" | "wasip1" | "js" => {
            format!("{text}/{}", host.architecture).parse().ok()
        }
        text => format!("{}/{text}", host.os).parse().ok(),
    }
}

pub(super) fn mismatch(analysis: &Analysis<'_>) -> Vec<Finding> {
    analysis.stages.iter().filter(|facts| facts.needed).filter_map(|it| mismatched(analysis, it)).collect()
}

fn mismatched(analysis: &Analysis<'_>, facts: &StageFacts<'_>) -> Option<Finding> {
    let from = &facts.stage.from.value;
    let actual = facts.base.as_ref()?.platform.as_ref()?;
    let wanted = match &from.platform {
        Some(word) => parse(&analysis.globals.expand(word).text?)?,
        None => analysis.platform(),
    };
    let differs = wanted.os != actual.os || wanted.architecture != actual.architecture;
    let message = format!("the base image is for {actual}, and {wanted} is built");
    let hint = "take an image that is for this platform, or say which one is meant with --platform";
    differs.then(|| Finding::at(from.image.span, message, hint))
}
