//! [`Target`] over one ECS cluster.

mod apply;
mod follow;
mod observe;
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
use minato_task_definition::{GROUP, SERVICE_KIND, TASK_DEFINITION_KIND};

use self::observe::predict_task_definition;
use crate::api::{Api, Chain};
use crate::cluster::Cluster;
use crate::failure::{ConnectError, refused};
use crate::form::{live_service, live_task_definition};
use crate::revisions::Revisions;

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

    fn redacted(&self, object: &Object) -> Result<Object, TargetError> {
        let value = self.options.redactor.redact(object);
        Object::from_value(value).map_err(|error| refused(object.key(), error.to_string()))
    }
}

fn place(region: &str, cluster: &str) -> String {
    format!("ecs://{region}/{cluster}")
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
            TASK_DEFINITION_KIND => predict_task_definition(desired, live)?,
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
