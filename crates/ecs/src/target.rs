//! [`Target`] over one ECS cluster.

mod apply;
mod follow;
mod remove;
mod wish;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use minato_resource::{Object, ResourceKey};
use minato_sync::{Applied, Change, Context, Owner, Progress, Redactor, Target, TargetError, Token};
use minato_task_definition::{GROUP, SERVICE_KIND, ServiceDefinition, TASK_DEFINITION_KIND, TaskDefinition};
use serde_json::Value;

use self::wish::Runs;
use crate::api::{Api, Chain};
use crate::cluster::Cluster;
use crate::failure::{ConnectError, belongs_to, of_call, refuse_errors, refused};
use crate::field::text;
use crate::form::{
    live_service, live_task_definition, predicted_service, predicted_task_definition, service_key,
    service_wish,
};
use crate::plan::{Situation, check};
use crate::revision::Revision;
use crate::revisions::Revisions;
use crate::tags::{Ownership, Tags};

/// How often a change is to be looked at: ECS throttles, and its deployments take minutes.
pub const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// Whether an Object is one of ECS: a task definition or a service.
pub fn accepts(key: &ResourceKey) -> bool {
    key.group == GROUP
}

/// How an ECS cluster is worked with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Hides secret values.
    pub redactor: Redactor,
    /// Families of the task definitions that are desired or were brought out. ECS can't be asked for task definitions
    /// by tag: those that the owner's services run are found without this, those that run as single tasks are not.
    pub families: Vec<String>,
}

/// One ECS cluster, as a place where Objects live.
pub struct EcsTarget {
    cluster: Cluster,
    options: Options,
    /// `ecs://REGION/CLUSTER`, for messages.
    place: String,
    revisions: Revisions,
    /// Deployment id → ARN of its service deployment.
    own_records: Mutex<BTreeMap<String, String>>,
    /// This API has no service deployments, so it is not asked again.
    lacks_own_records: AtomicBool,
}

impl EcsTarget {
    /// Finds credentials by AWS' standard chain, and the endpoint: AWS' own in the region, or `AWS_ENDPOINT_URL`.
    ///
    /// # Errors
    /// There are no credentials, or no certificates to trust.
    pub async fn connect(region: &str, cluster: &str, options: Options) -> Result<Self, ConnectError> {
        let place = place(region, cluster);
        let ring = aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
        );
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new(region.to_owned()))
            .http_client(aws_smithy_http_client::Builder::new().tls_provider(ring).build_https())
            .load()
            .await;
        let no_credentials = |message: String| ConnectError::Credentials { place: place.clone(), message };
        let provider =
            config.credentials_provider().ok_or_else(|| no_credentials("nothing is configured".into()))?;
        let chain = Chain::new(provider);
        chain.get().await.map_err(|error| no_credentials(error.to_string()))?;
        let api = Api::new(chain, config.endpoint_url().map(str::to_owned))
            .map_err(|error| ConnectError::Client { place: place.clone(), message: error.to_string() })?;
        Ok(Self::over(api, region, cluster, options))
    }

    pub(crate) fn over(api: Api, region: &str, cluster: &str, options: Options) -> Self {
        let place = place(region, cluster);
        let cluster = Cluster { api, region: region.to_owned(), name: cluster.to_owned() };
        Self {
            cluster,
            options,
            place,
            revisions: Revisions::default(),
            own_records: Mutex::default(),
            lacks_own_records: AtomicBool::new(false),
        }
    }

    #[cfg(test)]
    pub(crate) fn api(&self) -> &Api {
        &self.cluster.api
    }

    /// The owner's active services.
    async fn services(&self, owner: &Owner) -> Result<Vec<Value>, TargetError> {
        let services = self.cluster.services().await.map_err(of_call(&self.place))?;
        let is_ours = |service: &Value| {
            let Some(name) = service.get("serviceName").and_then(Value::as_str) else { return false };
            Tags::read(service.get("tags")).ownership(owner, &service_key(name)) == Ownership::Ours
        };
        Ok(services.into_iter().filter(is_ours).collect())
    }

    /// For each family, the revision that stands for it: the one that runs in these services, else the newest.
    async fn standing_revisions(
        &self,
        owner: &Owner,
        services: &[Value],
    ) -> Result<BTreeMap<String, Revision>, TargetError> {
        let mut found = BTreeMap::new();
        for service in services {
            let Some(reference) = service.get("taskDefinition").and_then(Value::as_str) else { continue };
            let revision =
                self.revisions.get(&self.cluster, reference).await.map_err(of_call(&self.place))?;
            if let Some(revision) = revision.filter(|revision| revision.ownership(owner) == Ownership::Ours) {
                found.entry(revision.family.clone()).or_insert(revision);
            }
        }
        for family in &self.options.families {
            if found.contains_key(family) {
                continue;
            }
            let newest = self.revisions.newest(&self.cluster, family).await.map_err(of_call(&self.place))?;
            if let Some(revision) = newest.filter(|revision| revision.ownership(owner) == Ownership::Ours) {
                found.insert(family.clone(), revision);
            }
        }
        Ok(found)
    }

    async fn predict_service(
        &self,
        desired: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> Result<Option<Object>, TargetError> {
        refuse_errors(desired, &ServiceDefinition::from_object(desired).1)?;
        refuse_another_name(desired, "serviceName")?;
        if live.is_none() {
            self.refuse_anothers_service(desired.key(), &context.owner).await?;
        }
        let runs = self.runs(desired, live, context).await?;
        let count_is_others = self.count_is_others(desired, live).await?;
        let wish = service_wish(desired, runs.as_ref().map(Runs::name).as_deref(), count_is_others);
        let predicted = predicted_service(desired, live, &wish);
        if let (Some(live), Some(predicted)) = (live, &predicted) {
            let spec = |object| Object::get(object, "/spec").unwrap_or(&Value::Null);
            let situation =
                Situation { live: spec(live), wish: &wish, predicted: spec(predicted), again: false };
            check(&situation).map_err(|error| refused(desired.key(), error.to_string()))?;
        }
        Ok(predicted)
    }

    /// A service of the name may be there without being ours.
    async fn refuse_anothers_service(&self, key: &ResourceKey, owner: &Owner) -> Result<(), TargetError> {
        let found = self.cluster.service(&key.name).await.map_err(of_call(&self.place))?;
        let Some(service) = found.filter(|service| text(service, "status") == "ACTIVE") else {
            return Ok(());
        };
        match Tags::read(service.get("tags")).ownership(owner, key) {
            Ownership::Others(other) => Err(belongs_to(key, &other)),
            Ownership::Ours | Ownership::Nobodys => Ok(()),
        }
    }

    fn redacted(&self, object: &Object) -> Result<Object, TargetError> {
        let value = self.options.redactor.redact(object);
        Object::from_value(value).map_err(|error| refused(object.key(), error.to_string()))
    }
}

fn place(region: &str, cluster: &str) -> String {
    format!("ecs://{region}/{cluster}")
}

/// The name of an Object is the name that ECS knows it by.
fn refuse_another_name(desired: &Object, field: &str) -> Result<(), TargetError> {
    let pointer = format!("/spec/{field}");
    match desired.text(&pointer).filter(|name| *name != desired.name()) {
        Some(name) => {
            let message = format!(
                "`{field}` is {name}, but the object is named {}; give both one name",
                desired.name()
            );
            Err(refused(desired.key(), message))
        }
        None => Ok(()),
    }
}

fn unknown_kind(key: &ResourceKey) -> TargetError {
    refused(key, format!("ECS has no documents of kind {}; write a TaskDefinition or a Service", key.kind))
}

#[async_trait]
impl Target for EcsTarget {
    async fn live(&self, owner: &Owner) -> Result<Vec<Object>, TargetError> {
        let services = self.services(owner).await?;
        let revisions = self.standing_revisions(owner, &services).await?;
        let definitions = revisions.values().filter_map(live_task_definition);
        let objects: Vec<Object> = definitions.chain(services.iter().filter_map(live_service)).collect();
        objects.iter().map(|object| self.redacted(object)).collect()
    }

    async fn predict(
        &self,
        desired: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> Result<Object, TargetError> {
        let predicted = match desired.kind() {
            TASK_DEFINITION_KIND => {
                refuse_errors(desired, &TaskDefinition::from_object(desired).1)?;
                refuse_another_name(desired, "family")?;
                predicted_task_definition(desired, live)
            }
            SERVICE_KIND => self.predict_service(desired, live, context).await?,
            _ => return Err(unknown_kind(desired.key())),
        };
        let predicted = predicted.ok_or_else(|| refused(desired.key(), "it has no name"))?;
        self.redacted(&predicted)
    }

    async fn apply(&self, desired: &Object, context: &Context) -> Result<Applied, TargetError> {
        match desired.kind() {
            TASK_DEFINITION_KIND => self.apply_task_definition(desired, context).await,
            SERVICE_KIND => self.apply_service(desired, context).await,
            _ => Err(unknown_kind(desired.key())),
        }
    }

    async fn progress(&self, token: &Token) -> Result<Progress, TargetError> {
        self.follow(token).await
    }

    async fn delete(&self, key: &ResourceKey, owner: &Owner) -> Result<(), TargetError> {
        match key.kind.as_str() {
            TASK_DEFINITION_KIND => self.give_up_task_definition(key, owner).await,
            SERVICE_KIND => self.delete_service(key, owner).await,
            _ => Err(unknown_kind(key)),
        }
    }

    /// Services run task definitions.
    fn order(&self, key: &ResourceKey) -> i32 {
        i32::from(key.kind == SERVICE_KIND)
    }

    /// ECS has nothing to listen to without a queue of the user's; the follower polls.
    async fn watch(&self, _: &Owner) -> Result<BoxStream<'static, Change>, TargetError> {
        Ok(stream::pending().boxed())
    }
}
