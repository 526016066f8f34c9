//! Argo CD's annotations on Objects: what they ask for, and which of it is not acted on yet.

use minato_resource::{Diagnostic, Object, Severity, pointer};

/// Annotation with the number of an Object's wave (Argo CD); 0 when absent.
pub const SYNC_WAVE_ANNOTATION: &str = "argocd.argoproj.io/sync-wave";

/// Annotation with an Object's own options (Argo CD), separated by commas.
pub const SYNC_OPTIONS_ANNOTATION: &str = "argocd.argoproj.io/sync-options";

/// Annotations that make an Object a hook (Argo CD, Helm).
const HOOK_ANNOTATIONS: [&str; 2] = ["argocd.argoproj.io/hook", "helm.sh/hook"];

/// Options that are acted on, and those that ask for what is always so here.
const KNOWN_OPTIONS: [&str; 9] = [
    "Prune=false",
    "Prune=confirm",
    "Prune=true",
    "SkipDryRunOnMissingResource=true",
    "PruneLast=true",
    "ServerSideApply=true",
    "Validate=true",
    "Replace=false",
    "Force=false",
];

/// An unreadable number is wave 0, as in Argo CD.
pub(crate) fn wave_of(object: &Object) -> i64 {
    object.annotations().get(SYNC_WAVE_ANNOTATION).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// `Prune=confirm` waits for a confirmation, which there is no way to give yet.
pub(crate) fn may_prune(object: &Object) -> bool {
    !options(object).any(|option| matches!(option, "Prune=false" | "Prune=confirm"))
}

/// A warning for each annotation of these Objects that asks for something that is not done yet.
pub fn not_acted_on(objects: &[Object]) -> Vec<Diagnostic> {
    objects.iter().flat_map(|object| hooks(object).chain(unknown_options(object))).collect()
}

fn hooks(object: &Object) -> impl Iterator<Item = Diagnostic> + '_ {
    let annotations = object.annotations();
    HOOK_ANNOTATIONS.into_iter().filter(move |name| annotations.contains_key(name)).map(|name| {
        let message = format!("{}: hooks are not run yet; it is applied as an ordinary object", object.key());
        warning(object, "hook", message, name)
    })
}

fn unknown_options(object: &Object) -> impl Iterator<Item = Diagnostic> + '_ {
    let unknown = options(object).filter(|option| !option.is_empty() && !KNOWN_OPTIONS.contains(option));
    unknown.map(|option| {
        let message = format!("{}: sync option {option:?} is not acted on yet", object.key());
        warning(object, "sync-option", message, SYNC_OPTIONS_ANNOTATION)
    })
}

fn options(object: &Object) -> impl Iterator<Item = &str> {
    let options = object.annotations().get(SYNC_OPTIONS_ANNOTATION).copied().unwrap_or("");
    options.split(',').map(str::trim)
}

fn warning(object: &Object, code: &str, message: String, annotation: &str) -> Diagnostic {
    let place = pointer::join("/metadata/annotations", annotation);
    object.diagnostic(Severity::Warning, code, message, &place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_done_yet_is_named() {
        let check = |annotations: serde_json::Value, expected: &[&str]| {
            let value = json!({"apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": "a", "annotations": annotations}});
            let told: Vec<String> = not_acted_on(&[Object::from_value(value).unwrap()])
                .into_iter()
                .map(|told| told.message)
                .collect();
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.contains(expected), "{told}");
            }
        };
        check(json!({}), &[]);
        check(json!({"argocd.argoproj.io/hook": "PreSync"}), &["hooks are not run yet"]);
        check(json!({"helm.sh/hook": "pre-install"}), &["hooks are not run yet"]);
        check(json!({SYNC_OPTIONS_ANNOTATION: "Prune=false, Validate=true"}), &[]);
        check(
            json!({SYNC_OPTIONS_ANNOTATION: "Prune=false,Delete=false,Replace=true"}),
            &["Delete=false", "Replace=true"],
        );
    }
}
