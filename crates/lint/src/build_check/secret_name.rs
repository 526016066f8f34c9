//! `SecretsUsedInArgOrEnv`: what ARG and ENV hold stays readable in the image.

use minato_dockerfile::Instruction;

use super::analysis::Analysis;
use crate::rule::Finding;

/// Parts between underscores that make a name a secret's.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

/// Parts that make it a name for something about a secret.
const ALLOWED: [&str; 3] = ["public", "file", "version"];

pub(super) fn in_arg_or_env(analysis: &Analysis<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    analysis.follow(|step| match &step.statement.value {
        Instruction::Arg(arg) => {
            let names = arg.definitions.iter().map(|it| (it.name.raw.clone(), it.name.span));
            found.extend(names.filter(|(name, _)| is_secret_name(name)).map(|(name, span)| {
                finding("ARG", &name, step.place(span), "pass it with --secret and RUN --mount=type=secret")
            }));
        }
        Instruction::Env(env) => {
            let names = env.pairs.iter().map(|it| (step.environment.expand(&it.name).text, it.name.span));
            let names = names.filter_map(|(name, span)| Some((name?, span)));
            found.extend(names.filter(|(name, _)| is_secret_name(name)).map(|(name, span)| {
                finding("ENV", &name, step.place(span), "give it to the container when it is started")
            }));
        }
        _ => {}
    });
    found
}

fn finding(keyword: &str, name: &str, place: minato_resource::Span, hint: &str) -> Finding {
    Finding::at(place, format!("{keyword} {name} looks like a secret; it stays readable in the image"), hint)
}

/// Whether `BuildKit` takes the name for a secret's.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let has = |list: &[&str]| name.split('_').any(|part| list.iter().any(|it| it.eq_ignore_ascii_case(part)));
    has(&SECRET) && !has(&ALLOWED)
}
