//! What applying would make of an Object, written nowhere.

use minato_resource::{Object, ResourceKey};
use minato_sync::{Context, TRACKING_ANNOTATION, TargetError};
use serde_json::Value;

use super::KubernetesTarget;
use crate::api::{ApiError, METADATA, Refusal};
use crate::discovery::{Kind, defined_by};
use crate::normal::{has_marks, normal, without_values};
use crate::ownership::{overlay, unchanged};
use crate::resolve::may_be_missing;
use crate::tracking::owner_of;

impl KubernetesTarget {
    /// An Object whose fields are ours and as desired stays what it is, without a request. Any other is a server-side
    /// dry run, webhooks included; what can't be dry-run yet, because this very sync makes what it needs, is laid over
    /// what is live.
    pub(super) async fn predicted(
        &self,
        desired: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> Result<Object, TargetError> {
        let body = self.body(desired, &context.owner);
        let seen = self.seen(desired.key(), live);
        let marked = self.normal(desired.key(), body.clone())?;
        if let (Some(live), Some(seen)) = (live, &seen)
            && unchanged(marked.value(), &seen.whole, self.manager())
        {
            return Ok(live.clone());
        }
        let laid = || match (live, &seen) {
            (_, Some(seen)) => {
                self.normal(desired.key(), overlay(&seen.whole, marked.value(), self.manager()))
            }
            (Some(live), None) => {
                self.normal(desired.key(), overlay(live.value(), marked.value(), self.manager()))
            }
            (None, None) => Ok(marked.clone()),
        };
        // A remembered Secret has no values to ask the server with.
        if has_marks(desired) {
            return laid();
        }
        let Some(kind) = self.discovery.exact(desired.api_version(), desired.kind()).await? else {
            return if is_made_by(context, desired) { laid() } else { Err(unknown(desired)) };
        };
        if live.is_none() {
            self.refuse_anothers(&kind, desired, context).await?;
        }
        let path = kind.object(desired.key());
        match self.api.apply(&path, self.manager(), true, &body).await {
            Ok(answer) => self.normal(desired.key(), answer.value),
            Err(error)
                if error.refusal().is_some_and(|refusal| self.is_early(refusal, desired, live, context)) =>
            {
                laid()
            }
            Err(error) => Err(told(error, desired)),
        }
    }

    fn normal(&self, key: &ResourceKey, value: Value) -> Result<Object, TargetError> {
        normal(value, &self.options.redactor)
            .map_err(|error| TargetError::Broken { what: key.to_string(), message: error.to_string() })
    }

    /// Two Applications that want the same Object would undo each other for ever. Argo CD warns; here the second one is
    /// refused, as with its `FailOnSharedResource`.
    async fn refuse_anothers(
        &self,
        kind: &Kind,
        desired: &Object,
        context: &Context,
    ) -> Result<(), TargetError> {
        let key = desired.key();
        let found = self.api.find(&kind.object(key), METADATA).await.map_err(|error| told(error, desired))?;
        let Some(found) = found else { return Ok(()) };
        let annotations = found.value.pointer("/metadata/annotations");
        let id = annotations.and_then(|all| all.get(TRACKING_ANNOTATION)?.as_str());
        match id.and_then(|id| owner_of(id, key)).filter(|other| *other != context.owner) {
            None => Ok(()),
            Some(other) => Err(TargetError::Refused {
                key: key.clone(),
                message: format!(
                    "it belongs to the application {}; take it out of one of the two, or remove the annotation {TRACKING_ANNOTATION} from it",
                    other.application
                ),
            }),
        }
    }

    /// Whether the server refuses only because something is missing that this sync makes before it comes to this Object.
    fn is_early(
        &self,
        refusal: &Refusal,
        desired: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> bool {
        let namespace = desired.namespace();
        let made_here = self.options.create_namespace && namespace == self.options.namespace;
        if refusal.code == 404 && refusal.kind == "namespaces" {
            return made_here
                || context
                    .desired
                    .iter()
                    .any(|object| object.key().is("", "Namespace") && object.name() == namespace);
        }
        // The schema may be another one after the definition among the files is applied.
        if defined_by(&context.desired, desired.key()).is_some() {
            return true;
        }
        let missing = refusal.message.contains("not found") || refusal.message.contains("was found");
        let others = context.desired.iter().filter(|object| object.key() != desired.key());
        // A webhook that has effects can't be asked what it would do.
        let undecidable = refusal.message.contains("does not support dry run");
        undecidable
            || live.is_none() && missing && others.map(Object::name).any(|name| names(&refusal.message, name))
    }
}

/// Whether a sentence names this object: as a word of its own.
fn names(sentence: &str, name: &str) -> bool {
    let of_name = |character: char| character.is_ascii_alphanumeric() || "-.".contains(character);
    sentence.split(|character| !of_name(character)).any(|word| word.trim_end_matches('.') == name)
}

/// Whether the kind will be there when the Object's turn comes.
pub(super) fn is_made_by(context: &Context, desired: &Object) -> bool {
    may_be_missing(desired) || defined_by(&context.desired, desired.key()).is_some()
}

pub(super) fn unknown(desired: &Object) -> TargetError {
    TargetError::Refused {
        key: desired.key().clone(),
        message: format!(
            "the cluster knows no {} in {}; add its CustomResourceDefinition to the files",
            desired.kind(),
            desired.api_version()
        ),
    }
}

/// The refusal of this Object, without its secret values.
pub(super) fn told(error: ApiError, desired: &Object) -> TargetError {
    match error.about(desired.key()) {
        TargetError::Refused { key, message } => {
            TargetError::Refused { key, message: without_values(message, desired) }
        }
        TargetError::Unavailable { what, message } => {
            TargetError::Unavailable { what, message: without_values(message, desired) }
        }
        TargetError::Broken { what, message } => {
            TargetError::Broken { what, message: without_values(message, desired) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_of_its_own() {
        let sentence = "error looking up service account a/runner: serviceaccount \"runner\" not found.";
        assert!(names(sentence, "runner"));
        assert!(!names(sentence, "run"));
        assert!(names("no PriorityClass with name very-high was found", "very-high"));
        assert!(names("namespaces \"x.y\" not found", "x.y"));
    }
}
