//! The table of build checks.

use super::analysis::Analysis;
use super::{
    base, casing, command, description, ignored, platform, port, secret_name, stage_name, variable, workdir,
};
use crate::rule::Finding;

/// One of `BuildKit`'s checks.
#[derive(Debug)]
pub struct BuildCheck {
    /// `BuildKit`'s name for it: what `skip=`, comments and `--allow` say, and the code of its diagnostics.
    pub name: &'static str,
    /// One sentence for a list of rules.
    pub summary: &'static str,
    /// Only on when `experimental=` names it.
    pub experimental: bool,
    /// Whether a `# check=` comment above an instruction reaches it.
    pub(super) heeds_comments: bool,
    pub(super) find: fn(&Analysis<'_>) -> Vec<Finding>,
}

const fn check(
    name: &'static str,
    summary: &'static str,
    find: fn(&Analysis<'_>) -> Vec<Finding>,
) -> BuildCheck {
    BuildCheck { name, summary, experimental: false, heeds_comments: true, find }
}

/// A check of the file as a whole, which comments at one instruction do not reach.
const fn of_file(
    name: &'static str,
    summary: &'static str,
    find: fn(&Analysis<'_>) -> Vec<Finding>,
) -> BuildCheck {
    BuildCheck { heeds_comments: false, ..check(name, summary, find) }
}

const fn experimental(
    name: &'static str,
    summary: &'static str,
    find: fn(&Analysis<'_>) -> Vec<Finding>,
) -> BuildCheck {
    BuildCheck { experimental: true, ..check(name, summary, find) }
}

/// All of them, in the order in which they are listed to users.
pub const BUILD_CHECKS: &[BuildCheck] = &[
    check("StageNameCasing", "a stage's name has capitals", stage_name::casing),
    check("FromAsCasing", "AS is not written in the case of its FROM", casing::from_as),
    of_file("NoEmptyContinuation", "a blank line inside an instruction", casing::blank_lines),
    of_file("ConsistentInstructionCasing", "most instructions are in another case", casing::instructions),
    of_file("DuplicateStageName", "two stages have one name", stage_name::duplicate),
    of_file("ReservedStageName", "a stage is named scratch or context", stage_name::reserved),
    check(
        "JSONArgsRecommended",
        "CMD or ENTRYPOINT starts a shell, which gets the signals",
        command::shell_form,
    ),
    check("MaintainerDeprecated", "MAINTAINER in place of a label", command::maintainer),
    check("UndefinedArgInFrom", "FROM uses an argument that no ARG declares", base::undefined),
    check("WorkdirRelativePath", "the first WORKDIR depends on the base image's", workdir::relative),
    check("UndefinedVar", "a variable is used that nothing declares", variable::undefined),
    check("MultipleInstructionsDisallowed", "only the last of several counts", command::repeated),
    check("LegacyKeyValueFormat", "ENV or LABEL without an equals sign", command::without_equals),
    of_file("InvalidBaseImagePlatform", "the base image is for another platform", platform::mismatch),
    check("RedundantTargetPlatform", "FROM --platform says what holds anyway", platform::redundant),
    check("SecretsUsedInArgOrEnv", "ARG or ENV has the name of a secret", secret_name::in_arg_or_env),
    of_file("InvalidDefaultArgInFrom", "FROM names no image without --build-arg", base::without_arguments),
    check("FromPlatformFlagConstDisallowed", "FROM --platform has a fixed value", platform::fixed),
    check("CopyIgnoredFile", "COPY or ADD of what .dockerignore leaves out", ignored::copied),
    experimental(
        "InvalidDefinitionDescription",
        "a comment does not describe its ARG or stage",
        description::wrong,
    ),
    check("ExposeProtoCasing", "EXPOSE has a protocol with capitals", port::casing),
    check("ExposeInvalidFormat", "EXPOSE has an address or a host's port", port::mapped),
];
