//! Removing an Object, if it is the owner's.

use minato_resource::ResourceKey;
use minato_sync::{Owner, TRACKING_ANNOTATION, TargetError};
use serde_json::{Value, json};

use super::KubernetesTarget;
use crate::api::METADATA;
use crate::tracking::owner_of;

impl KubernetesTarget {
    /// What others took over, or made anew meanwhile, is left alone. Objects that own others go after them
    /// (`Foreground`), so that whoever waits until they are gone waits for their pods too.
    pub(super) async fn remove(&self, key: &ResourceKey, owner: &Owner) -> Result<(), TargetError> {
        // A kind that is served no longer has no objects.
        let Some(kind) = self.discovery.preferred(&key.group, &key.kind).await? else { return Ok(()) };
        let path = kind.object(key);
        let found = self.api.find(&path, METADATA).await.map_err(|error| error.about(key))?;
        let Some(found) = found else { return Ok(()) };
        let metadata = &found.value["metadata"];
        let id = metadata.pointer("/annotations").and_then(|all| all.get(TRACKING_ANNOTATION)?.as_str());
        if id.and_then(|id| owner_of(id, key)).as_ref() != Some(owner) {
            return Ok(());
        }
        let propagation =
            if matches!(key.group.as_str(), "apps" | "batch") { "Foreground" } else { "Background" };
        let uid = metadata.get("uid").and_then(Value::as_str).unwrap_or_default();
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation,
            "preconditions": {"uid": uid}});
        fail::fail_point!("kubernetes.object.deleting");
        match self.api.delete(&path, &options).await {
            Ok(()) => Ok(()),
            // Gone, or another one by now.
            Err(error)
                if error
                    .refusal()
                    .is_some_and(|refusal| refusal.code == 404 || is_another(&refusal.message)) =>
            {
                Ok(())
            }
            Err(error) => Err(error.about(key)),
        }
    }
}

fn is_another(message: &str) -> bool {
    message.contains("Precondition failed: UID")
}
