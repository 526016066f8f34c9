//! Bringing documents out: register what is not registered, create or update what differs, nothing else.

use minato_resource::{Object, ResourceKey};
use minato_sync::{Applied, Context, Owner, TargetError};
use minato_task_definition::{GROUP, SERVICE_KIND, TaskDefinitionReference, creation, registration};
use serde_json::{Map, Value};

use super::EcsTarget;
use super::wish::{Registered, Runs, applied};
use crate::failure::{belongs_to, of_object, refused};
use crate::form::{live_service, predicted_service, service_mark, service_wish};
use crate::plan::{Situation, create, update};
use crate::progress::{Deployment, Handle};
use crate::revision::Revision;
use crate::tags::{Ownership, Tags};

impl EcsTarget {
    pub(super) async fn apply_task_definition(
        &self,
        desired: &Object,
        context: &Context,
    ) -> Result<Applied, TargetError> {
        let tags = Tags::wanted(desired, &context.owner);
        let revision = match self.registered(desired, context).await? {
            Some(revision) => self.claim(revision, &tags, desired.key()).await?,
            None => self.register(desired, &tags).await?,
        };
        let token = Handle::Registration(revision.arn.clone()).token();
        Ok(Applied { key: desired.key().clone(), identity: revision.arn, token })
    }

    /// The revision that is this definition already. Services name a revision, so any will do; whoever runs single
    /// tasks of the family gets the newest, so only that one will.
    async fn registered(&self, desired: &Object, context: &Context) -> Result<Option<Revision>, TargetError> {
        let key = desired.key();
        if is_run_by_a_service(key, &context.desired) {
            let applied: Vec<&str> = applied(key, context).collect();
            let found = self.revisions.serving(&self.cluster, desired, &context.owner, &applied).await;
            return found.map_err(of_object(&self.place, key));
        }
        let newest = self.revisions.newest(&self.cluster, key.name.as_str()).await;
        let newest = newest.map_err(of_object(&self.place, key))?;
        if let Some(Ownership::Others(other)) = newest.as_ref().map(|newest| newest.ownership(&context.owner))
        {
            return Err(belongs_to(key, &other));
        }
        Ok(newest.filter(|newest| newest.serves(desired, &context.owner)))
    }

    /// Makes a revision that somebody registered ours; its content stays.
    async fn claim(
        &self,
        revision: Revision,
        tags: &Tags,
        key: &ResourceKey,
    ) -> Result<Revision, TargetError> {
        let missing = revision.tags.missing(tags);
        if missing.is_empty() {
            return Ok(revision);
        }
        // Should the answer get lost, the tags are not what is remembered.
        self.revisions.forget(&revision);
        self.cluster.tag(&revision.arn, &missing).await.map_err(of_object(&self.place, key))?;
        let revision = Revision { tags: revision.tags.with(&missing), ..revision };
        self.revisions.remember(&revision);
        Ok(revision)
    }

    async fn register(&self, desired: &Object, tags: &Tags) -> Result<Revision, TargetError> {
        let key = desired.key();
        let mut body = registration(desired.get("/spec").unwrap_or(&Value::Null));
        if let Value::Object(fields) = &mut body {
            fields.insert("family".to_owned(), Value::from(key.name.as_str()));
            fields.insert("tags".to_owned(), tags.to_value());
        }
        let answer = self.cluster.register(&body).await.map_err(of_object(&self.place, key))?;
        fail::fail_point!("ecs.task_definition.registered");
        let revision = answer.ok_or_else(|| TargetError::Broken {
            what: self.place.clone(),
            message: format!("RegisterTaskDefinition: the answer names no revision of {}", key.name),
        })?;
        // The answer has the tags only where the caller may read them.
        let revision = Revision { tags: revision.tags.with(tags), ..revision };
        self.revisions.remember(&revision);
        match revision.needed_mark(desired) {
            Some(mark) => self.claim(revision, &tags.clone().marked(&mark), key).await,
            None => Ok(revision),
        }
    }

    pub(super) async fn apply_service(
        &self,
        desired: &Object,
        context: &Context,
    ) -> Result<Applied, TargetError> {
        let key = desired.key();
        let current = self.current_service(key, &context.owner).await?;
        let live = current.as_ref().and_then(live_service);
        let runs = self.runs(desired, live.as_ref(), context).await?;
        let runs = runs.map(|runs| registered(runs, key)).transpose()?;
        let tags = Tags::wanted(desired, &context.owner).marked(&service_mark(desired));
        let service = match (current, live) {
            (Some(current), Some(live)) => {
                let again = context.retry.contains(key);
                let fields = self.update_of(desired, &live, runs.as_ref(), again).await?;
                let updated = self.update_service(key, &current, fields, runs.as_ref()).await?;
                self.claim_service(key, &current, &tags).await?;
                updated.unwrap_or(current)
            }
            _ => self.create_service(desired, runs.as_ref(), &tags).await?,
        };
        let runs = runs.as_ref().map(|runs| runs.name.as_str());
        let handle = Handle::Deployment(Deployment::of(&key.name, &service, runs));
        let identity = service.get("serviceArn").and_then(Value::as_str).unwrap_or(&key.name).to_owned();
        Ok(Applied { key: key.clone(), identity, token: handle.token() })
    }

    /// The service of the name, unless it is another Application's.
    async fn current_service(&self, key: &ResourceKey, owner: &Owner) -> Result<Option<Value>, TargetError> {
        let found = self.cluster.service(&key.name).await.map_err(of_object(&self.place, key))?;
        let Some(service) = found else { return Ok(None) };
        match service.get("status").and_then(Value::as_str) {
            Some("INACTIVE") => return Ok(None),
            Some("DRAINING") => {
                let message = format!("service {} still stops the tasks it had; wait for that", key.name);
                return Err(TargetError::Unavailable { what: self.place.clone(), message });
            }
            _ => {}
        }
        match Tags::read(service.get("tags")).ownership(owner, key) {
            Ownership::Others(other) => Err(belongs_to(key, &other)),
            Ownership::Ours | Ownership::Nobodys => Ok(Some(service)),
        }
    }

    async fn update_of(
        &self,
        desired: &Object,
        live: &Object,
        runs: Option<&Registered>,
        again: bool,
    ) -> Result<Option<Map<String, Value>>, TargetError> {
        let count_is_others = self.count_is_others(desired, Some(live)).await?;
        let wish = service_wish(desired, runs.map(|runs| runs.name.as_str()), count_is_others);
        let predicted = predicted_service(desired, Some(live), &wish);
        let spec = |object: Option<&Object>| {
            object.and_then(|object| object.get("/spec")).cloned().unwrap_or_default()
        };
        let (live, predicted) = (spec(Some(live)), spec(predicted.as_ref()));
        let situation = Situation { live: &live, wish: &wish, predicted: &predicted, again };
        update(&situation).map_err(|error| refused(desired.key(), error.to_string()))
    }

    async fn update_service(
        &self,
        key: &ResourceKey,
        current: &Value,
        fields: Option<Map<String, Value>>,
        runs: Option<&Registered>,
    ) -> Result<Option<Value>, TargetError> {
        let Some(mut fields) = fields else { return Ok(None) };
        if let (Some(field), Some(runs)) = (fields.get_mut("taskDefinition"), runs) {
            *field = Value::from(runs.arn.as_str());
        }
        fields.insert("cluster".to_owned(), Value::from(self.cluster.name.as_str()));
        fields.insert("service".to_owned(), Value::from(key.name.as_str()));
        let updated = self.cluster.update_service(&Value::Object(fields)).await;
        let updated = updated.map_err(of_object(&self.place, key))?;
        fail::fail_point!("ecs.service.updated");
        Ok(Some(if updated.is_null() { current.clone() } else { updated }))
    }

    async fn claim_service(
        &self,
        key: &ResourceKey,
        current: &Value,
        tags: &Tags,
    ) -> Result<(), TargetError> {
        let missing = Tags::read(current.get("tags")).missing(tags);
        let Some(arn) = current.get("serviceArn").and_then(Value::as_str).filter(|_| !missing.is_empty())
        else {
            return Ok(());
        };
        self.cluster.tag(arn, &missing).await.map_err(of_object(&self.place, key))
    }

    async fn create_service(
        &self,
        desired: &Object,
        runs: Option<&Registered>,
        tags: &Tags,
    ) -> Result<Value, TargetError> {
        let key = desired.key();
        let mut fields = create(creation(desired.get("/spec").unwrap_or(&Value::Null)));
        if let Some(runs) = runs {
            fields.insert("taskDefinition".to_owned(), Value::from(runs.arn.as_str()));
        }
        fields.insert("cluster".to_owned(), Value::from(self.cluster.name.as_str()));
        fields.insert("serviceName".to_owned(), Value::from(key.name.as_str()));
        fields.insert("tags".to_owned(), tags.to_value());
        let service = self.cluster.create_service(&Value::Object(fields)).await;
        let service = service.map_err(of_object(&self.place, key))?;
        fail::fail_point!("ecs.service.created");
        Ok(service)
    }
}

/// The revision to run; by now the sync has registered it.
fn registered(runs: Runs, key: &ResourceKey) -> Result<Registered, TargetError> {
    match runs {
        Runs::Registered(revision) => Ok(revision),
        Runs::NotYet(family) => {
            let message = format!(
                "task definition {family} is not registered as the files have it; give it no later sync wave than the service"
            );
            Err(refused(key, message))
        }
    }
}

fn is_run_by_a_service(key: &ResourceKey, desired: &[Object]) -> bool {
    desired.iter().any(|object| {
        let runs = object.text("/spec/taskDefinition").filter(|_| object.key().is(GROUP, SERVICE_KIND));
        let runs = runs.and_then(|text| text.parse::<TaskDefinitionReference>().ok());
        runs.is_some_and(|runs| runs.family == key.name)
    })
}
