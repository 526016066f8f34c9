//! [`Target`] over the API server of a cluster.

mod apply;
mod delete;
mod predict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use minato_resource::{Diagnostic, Object, ResourceKey};
use minato_sync::{Applied, Cause, Change, Cluster, Context, Owner, Progress, Target, TargetError, Token};
use serde_json::Value;

use crate::api::Api;
use crate::connect::{ConnectError, Options, connect};
use crate::discovery::Discovery;
use crate::handle::Handle;
use crate::live::owned_objects;
use crate::normal::{normal, redacted, sendable};
use crate::order::order;
use crate::progress::{is_out, progress};
use crate::resolve::resolve;
use crate::tracking::{track, tracking_id};
use crate::watch::changes;

/// A cluster, as a place where Objects live.
pub struct KubernetesTarget {
    api: Api,
    discovery: Discovery,
    options: Options,
    seen: Mutex<BTreeMap<ResourceKey, Arc<Seen>>>,
}

/// How long a look counts when an object was healthy.
const FRESH: Duration = Duration::from_secs(5);

/// A live object as [`Target::live`] saw it.
struct Seen {
    at: Instant,
    /// With the server's fields, secrets as marks.
    whole: Value,
    /// In normal form.
    normal: Object,
}

impl KubernetesTarget {
    /// The target of a cluster: a context or a server's address in the kubeconfig, or
    /// `https://kubernetes.default.svc`, the cluster of the pod that this runs in. No request is made yet.
    ///
    /// # Errors
    /// There is no such cluster, or no usable credentials for it.
    pub async fn connect(cluster: &Cluster, options: Options) -> Result<Self, ConnectError> {
        let api = connect(cluster, &options).await?;
        Ok(Self { discovery: Discovery::new(api.clone()), api, options, seen: Mutex::default() })
    }

    /// Gives each desired Object the namespace that it will live in: the Application's where its kind needs one and it
    /// names none; none where its kind is cluster-scoped. Whoever syncs does this first: live and desired are the same
    /// Object only when their keys are equal. A kind that is neither served nor defined by one of the Objects is an
    /// error at its line.
    ///
    /// # Errors
    /// The cluster can't be asked for its kinds.
    pub async fn resolve(&self, objects: Vec<Object>) -> Result<(Vec<Object>, Vec<Diagnostic>), TargetError> {
        resolve(&self.discovery, objects, &self.options.namespace).await
    }

    /// What is sent of a desired Object: tracked, and without what only the server writes.
    fn body(&self, desired: &Object, owner: &Owner) -> Value {
        let mut body = sendable(desired.value().clone());
        track(&mut body, tracking_id(owner, desired.key(), &self.options.namespace));
        body
    }

    fn manager(&self) -> &str {
        &self.options.field_manager
    }

    fn remember(&self, objects: Vec<(ResourceKey, Value)>) -> Result<Vec<Object>, TargetError> {
        let (at, mut seen) = (Instant::now(), BTreeMap::new());
        for (key, value) in objects {
            let odd = |error: minato_resource::ObjectError| TargetError::Broken {
                what: key.to_string(),
                message: error.to_string(),
            };
            let normal = normal(value.clone(), &self.options.redactor).map_err(odd)?;
            let whole = redacted(value, &self.options.redactor).map_err(odd)?;
            seen.insert(key.clone(), Arc::new(Seen { at, whole, normal }));
        }
        let live = seen.values().map(|seen| seen.normal.clone()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(live)
    }

    /// What was seen of an object is no longer so.
    fn forget(&self, key: &ResourceKey) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Whether the change was out and healthy when all was looked at just now. Then there is nothing to ask, which
    /// saves a request for each object of a sync that has nothing to do.
    fn was_out(&self, handle: &Handle) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&handle.key).cloned();
        seen.is_some_and(|seen| seen.at.elapsed() < FRESH && is_out(handle, &seen.whole, self.manager()))
    }

    /// The live object as it was seen, if it is the one that the caller speaks of.
    fn seen(&self, key: &ResourceKey, live: Option<&Object>) -> Option<Arc<Seen>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()?;
        (Some(&seen.normal) == live).then_some(seen)
    }
}

#[async_trait]
impl Target for KubernetesTarget {
    async fn live(&self, owner: &Owner) -> Result<Vec<Object>, TargetError> {
        let kinds = self.discovery.kinds().await?;
        let objects =
            owned_objects(&self.api, &kinds, owner, &self.options.namespace, self.manager()).await?;
        self.remember(objects)
    }

    async fn predict(
        &self,
        desired: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> Result<Object, TargetError> {
        self.predicted(desired, live, context).await
    }

    async fn apply(&self, desired: &Object, context: &Context) -> Result<Applied, TargetError> {
        self.forget(desired.key());
        self.bring(desired, context).await
    }

    async fn progress(&self, token: &Token) -> Result<Progress, TargetError> {
        match Handle::parse(token) {
            Some(handle) if self.was_out(&handle) => Ok(Progress::Healthy),
            Some(handle) => progress(&self.api, &self.discovery, &handle, self.manager()).await,
            None => {
                let cause = Cause::new(format!("{:?} is no change of a cluster", token.as_str()));
                Ok(Progress::Failed { cause })
            }
        }
    }

    async fn delete(&self, key: &ResourceKey, owner: &Owner) -> Result<(), TargetError> {
        self.forget(key);
        self.remove(key, owner).await
    }

    fn order(&self, key: &ResourceKey) -> i32 {
        order(key)
    }

    async fn watch(&self, owner: &Owner) -> Result<BoxStream<'static, Change>, TargetError> {
        let kinds = self.discovery.kinds().await?;
        let mut namespaces = BTreeSet::from([self.options.namespace.clone()]);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.extend(seen.keys().map(|key| key.namespace.clone()).filter(|name| !name.is_empty()));
        Ok(changes(&self.api, &kinds, owner, &namespaces))
    }
}
