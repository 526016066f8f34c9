//! Looking: what is live, and what applying would make of it.

use std::collections::BTreeMap;

use minato_resource::{Object, ResourceKey};
use minato_sync::{Context, Owner, TargetError};
use minato_task_definition::{ServiceDefinition, TaskDefinition};
use serde_json::Value;

use super::EcsTarget;
use super::wish::Runs;
use crate::failure::{belongs_to, of_call, refuse_errors, refused};
use crate::field::text;
use crate::form::{predicted_service, predicted_task_definition, service_key, service_wish};
use crate::plan::{Situation, check};
use crate::revision::Revision;
use crate::tags::{Ownership, Tags};

impl EcsTarget {
    /// The owner's active services.
    pub(super) async fn services(&self, owner: &Owner) -> Result<Vec<Value>, TargetError> {
        let services = self.cluster.services().await.map_err(of_call(&self.place))?;
        let is_ours = |service: &Value| {
            let Some(name) = service.get("serviceName").and_then(Value::as_str) else { return false };
            Tags::read(service.get("tags")).ownership(owner, &service_key(name)) == Ownership::Ours
        };
        Ok(services.into_iter().filter(is_ours).collect())
    }

    /// For each family, the revision that stands for it: the one that runs in these services, else the newest.
    pub(super) async fn standing_revisions(
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

    pub(super) async fn predict_service(
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
}

pub(super) fn predict_task_definition(
    desired: &Object,
    live: Option<&Object>,
) -> Result<Option<Object>, TargetError> {
    refuse_errors(desired, &TaskDefinition::from_object(desired).1)?;
    refuse_another_name(desired, "family")?;
    Ok(predicted_task_definition(desired, live))
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
