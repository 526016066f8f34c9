//! Making an Object so: server-side apply, with what has to be there first.

use std::time::Duration;

use minato_resource::Object;
use minato_sync::{Applied, Context, TargetError};
use serde_json::{Value, json};

use super::KubernetesTarget;
use super::predict::{is_made_by, told, unknown};
use crate::adoption::adopted;
use crate::api::{Answer, ApiError, JSON};
use crate::discovery::{Kind, defined_by};
use crate::handle::Handle;
use crate::normal::has_marks;

/// How long a kind whose definition was just applied may take to be served.
const KIND_LIMIT: Duration = Duration::from_secs(30);

/// How long a definition's new schema may take to count.
const SCHEMA_LIMIT: Duration = Duration::from_secs(10);

/// How long an object that is made anew may take to go.
const REMOVAL_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

impl KubernetesTarget {
    pub(super) async fn bring(&self, desired: &Object, context: &Context) -> Result<Applied, TargetError> {
        let key = desired.key();
        // A remembered Secret whose values were not put back must never reach a cluster.
        if has_marks(desired) {
            return Err(TargetError::Refused {
                key: key.clone(),
                message: "its values are not at hand".to_owned(),
            });
        }
        let kind = self.served(desired, context).await?;
        let path = kind.object(key);
        let again = context.retry.contains(key);
        if again && runs_once(desired) {
            self.clear(&path, desired, context).await?;
        }
        let body = self.body(desired, &context.owner);
        let mut answer = self.put(&path, desired, &body, context).await?;
        fail::fail_point!("kubernetes.object.applied");
        if let Some(fields) = adopted(&answer.value, self.manager()) {
            self.adopt(&path, desired, &answer.value, &fields).await?;
            answer = self.put(&path, desired, &body, context).await?;
        }
        if answer.value.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()) {
            let message = "it is still being deleted".to_owned();
            return Err(TargetError::Unavailable { what: key.to_string(), message });
        }
        if again && runs_on(desired) {
            answer = self.restart(&path, desired, answer).await?;
            fail::fail_point!("kubernetes.object.restarted");
        }
        let handle = Handle::of(key, &answer.value, self.manager());
        Ok(Applied { key: key.clone(), identity: handle.uid.clone(), token: handle.token() })
    }

    /// Takes over the fields of a tool that was used before. Applied once more after that, what Git does not have goes.
    async fn adopt(
        &self,
        path: &str,
        desired: &Object,
        applied: &Value,
        fields: &Value,
    ) -> Result<(), TargetError> {
        let version =
            applied.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        self.api.set_managers(path, version, fields).await.map_err(|error| told(error, desired))?;
        fail::fail_point!("kubernetes.object.adopted");
        Ok(())
    }

    /// The Object's kind. One that this sync defines is waited for.
    async fn served(&self, desired: &Object, context: &Context) -> Result<Kind, TargetError> {
        let deadline = tokio::time::Instant::now() + KIND_LIMIT;
        loop {
            if let Some(kind) = self.discovery.exact(desired.api_version(), desired.kind()).await? {
                return Ok(kind);
            }
            if !is_made_by(context, desired) || tokio::time::Instant::now() >= deadline {
                return Err(unknown(desired));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Applies, making the Application's namespace where that is asked for and needed.
    async fn put(
        &self,
        path: &str,
        desired: &Object,
        body: &Value,
        context: &Context,
    ) -> Result<Answer, TargetError> {
        let defined = defined_by(&context.desired, desired.key()).is_some();
        let applied = self.put_when_served(path, body, defined).await;
        match applied {
            Err(error) if self.needs_namespace(&error, desired) => {
                self.create_namespace(desired).await?;
                self.put_when_served(path, body, defined).await
            }
            applied => applied,
        }
        .map_err(|error| told(error, desired))
    }

    /// Discovery tells of a new kind a moment before the server answers for it: with 404, and no object's name. And a
    /// definition that was just applied counts a moment later.
    async fn put_when_served(&self, path: &str, body: &Value, defined: bool) -> Result<Answer, ApiError> {
        let start = tokio::time::Instant::now();
        loop {
            let applied = self.api.apply(path, self.manager(), false, body).await;
            let limit = match &applied {
                Err(ApiError::Refused(refusal)) if refusal.code == 404 && refusal.kind.is_empty() => {
                    KIND_LIMIT
                }
                Err(ApiError::Refused(refusal)) if defined && refusal.is_misfit() => SCHEMA_LIMIT,
                _ => return applied,
            };
            if start.elapsed() >= limit {
                return applied;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn needs_namespace(&self, error: &ApiError, desired: &Object) -> bool {
        let missing =
            error.refusal().is_some_and(|refusal| refusal.code == 404 && refusal.kind == "namespaces");
        missing && self.options.create_namespace && desired.namespace() == self.options.namespace
    }

    /// As in Argo CD, a namespace made so is nobody's: it stays when the Application goes.
    async fn create_namespace(&self, desired: &Object) -> Result<(), TargetError> {
        let name = desired.namespace();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let place = crate::api::Place { group: "", version: "v1", plural: "namespaces", namespace: "" };
        self.api
            .apply(&place.object(name), self.manager(), false, &namespace)
            .await
            .map_err(|error| error.asked(format!("namespace {name}")))?;
        fail::fail_point!("kubernetes.namespace.created");
        Ok(())
    }

    /// Starts the pods of a workload anew, as `kubectl rollout restart` does. The mark is another manager's, so that it
    /// is no difference to what Git says.
    async fn restart(&self, path: &str, desired: &Object, applied: Answer) -> Result<Answer, TargetError> {
        if is_out(&applied.value) {
            return Ok(applied);
        }
        let manager = format!("{}-restart", self.manager());
        let at = applied.at.to_string();
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": at}}}}});
        self.api.merge(path, &manager, &patch).await.map_err(|error| told(error, desired))
    }

    /// Takes away what ran and failed: it never runs again under its old identity.
    async fn clear(&self, path: &str, desired: &Object, context: &Context) -> Result<(), TargetError> {
        let deadline = tokio::time::Instant::now() + REMOVAL_LIMIT;
        self.remove(desired.key(), &context.owner).await?;
        fail::fail_point!("kubernetes.object.cleared");
        while self.api.find(path, JSON).await.map_err(|error| told(error, desired))?.is_some() {
            if tokio::time::Instant::now() >= deadline {
                let message = "its failed run is still being deleted".to_owned();
                return Err(TargetError::Unavailable { what: desired.key().to_string(), message });
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// Kinds that run to an end.
fn runs_once(object: &Object) -> bool {
    object.key().is("batch", "Job") || object.key().is("", "Pod")
}

/// Kinds that keep pods running.
fn runs_on(object: &Object) -> bool {
    object.key().group == "apps" && matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet")
}

/// Whether every replica runs what is said now: then there is nothing to start anew.
fn is_out(object: &Value) -> bool {
    let count = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let observed = count("/status/observedGeneration") >= count("/metadata/generation");
    let wanted = count("/status/desiredNumberScheduled").or_else(|| count("/spec/replicas"));
    let updated = count("/status/updatedReplicas").or_else(|| count("/status/updatedNumberScheduled"));
    let available = count("/status/availableReplicas").or_else(|| count("/status/numberAvailable"));
    observed
        && wanted.is_some_and(|wanted| updated.unwrap_or(0) >= wanted && available.unwrap_or(0) >= wanted)
}
