//! How far a change has come, and why it failed.
//!
//! ```text
//! object ─► replaced? ─► rules (pure) ─┬─ healthy
//!                                      ├─ progressing ─► pods of this change ─► hopeless? (pure)
//!                                      └─ failed ──────► pods, events, log ─► Cause
//! ```

mod explain;
mod newest;
mod pods;
mod rules;

use jiff::Timestamp;
use minato_sync::{Cause, Progress, TargetError};
use serde_json::Value;

use crate::api::{Api, ApiError, JSON};
use crate::discovery::Discovery;
use crate::handle::Handle;
use crate::normal::plain;
use rules::{Stand, stand};

/// Asks the cluster about one change.
pub(crate) async fn progress(
    api: &Api,
    discovery: &Discovery,
    handle: &Handle,
    manager: &str,
) -> Result<Progress, TargetError> {
    let key = &handle.key;
    let Some(kind) = discovery.exact(&handle.api_version, &key.kind).await? else {
        return Ok(failed(format!("{key}: the cluster no longer knows {} {}", handle.api_version, key.kind)));
    };
    let answer = api.find(&kind.object(key), JSON).await.map_err(|error| error.about(key))?;
    let Some(answer) = answer else {
        return Ok(failed(format!("{key} is gone: somebody else deleted it, or its time to live is over")));
    };
    let (object, now) = (answer.value, answer.at);
    if let Some(why) = handle.replaced(&object, manager) {
        let hint = Some("sync again to bring this revision back".to_owned());
        return Ok(Progress::Failed { cause: Cause { hint, ..Cause::new(format!("{key} {why}")) } });
    }
    match stand(key, &object, now) {
        Stand::Healthy => Ok(Progress::Healthy),
        Stand::Progressing(message) => waiting(api, handle, &object, now, message).await,
        Stand::Failed(summary) => {
            let pods = newest::pods(api, handle, &object).await?;
            let trouble = pods::worst(&pods, now);
            explain::cause(api, handle, Some(plain(&summary)), trouble)
                .await
                .map(|cause| Progress::Failed { cause })
        }
    }
}

/// Whether `object` holds the change and is healthy by its rule, whatever the time.
pub(crate) fn is_out(handle: &Handle, object: &Value, manager: &str) -> bool {
    handle.is_in(object)
        && handle.replaced(object, manager).is_none()
        && stand(&handle.key, object, Timestamp::UNIX_EPOCH) == Stand::Healthy
}

/// Not healthy yet: given up when its pods are hopeless, else told with what its pods wait for.
async fn waiting(
    api: &Api,
    handle: &Handle,
    object: &Value,
    now: Timestamp,
    message: String,
) -> Result<Progress, TargetError> {
    let message = plain(&message);
    if handle.key.is("", "PersistentVolumeClaim") && waits_for_consumer(api, object).await? {
        return Ok(Progress::Healthy);
    }
    let pods = newest::pods(api, handle, object).await?;
    if let Some(trouble) = pods::hopeless(&pods, now) {
        return explain::cause(api, handle, None, Some(trouble))
            .await
            .map(|cause| Progress::Failed { cause });
    }
    let message = match pods::worst(&pods, now) {
        Some(trouble) => format!("{message}; {}", plain(&trouble.summary)),
        None => message,
    };
    Ok(Progress::Progressing { message })
}

/// A claim of a class that binds with the first pod waits on purpose, perhaps for a pod of a later wave.
async fn waits_for_consumer(api: &Api, claim: &Value) -> Result<bool, TargetError> {
    let class = claim.pointer("/spec/storageClassName").and_then(Value::as_str).unwrap_or_default();
    if class.is_empty() {
        return Ok(false);
    }
    let place =
        crate::api::Place { group: "storage.k8s.io", version: "v1", plural: "storageclasses", namespace: "" };
    match api.find(&place.object(class), JSON).await {
        Ok(Some(answer)) => {
            let mode = answer.value.get("volumeBindingMode").and_then(Value::as_str);
            Ok(mode == Some("WaitForFirstConsumer"))
        }
        // Not allowed to read classes: then it is waited for as any claim.
        Ok(None) | Err(ApiError::Refused(_)) => Ok(false),
        Err(error) => Err(error.asked(format!("storage class {class}"))),
    }
}

fn failed(summary: String) -> Progress {
    Progress::Failed { cause: Cause::new(summary) }
}
