//! Removing: services go, revisions of task definitions are only given up.

use minato_resource::ResourceKey;
use minato_sync::{Owner, TargetError};
use serde_json::Value;

use super::EcsTarget;
use crate::failure::of_object;
use crate::revision::Revision;
use crate::tags::{Ownership, Tags};

impl EcsTarget {
    pub(super) async fn delete_service(&self, key: &ResourceKey, owner: &Owner) -> Result<(), TargetError> {
        let found = self.cluster.service(&key.name).await.map_err(of_object(&self.place, key))?;
        let Some(service) = found else { return Ok(()) };
        let is_active = service.get("status").and_then(Value::as_str) == Some("ACTIVE");
        if !is_active || Tags::read(service.get("tags")).ownership(owner, key) != Ownership::Ours {
            return Ok(());
        }
        self.cluster.delete_service(&key.name).await.map_err(of_object(&self.place, key))?;
        fail::fail_point!("ecs.service.deleted");
        Ok(())
    }

    /// Takes our tags from the revisions that make the family ours. They stay registered: a rollback, or somebody's
    /// scheduled task, may need them.
    pub(super) async fn give_up_task_definition(
        &self,
        key: &ResourceKey,
        owner: &Owner,
    ) -> Result<(), TargetError> {
        let failed = || of_object(&self.place, key);
        let mut standing: Vec<Revision> = Vec::new();
        for service in self.services(owner).await? {
            let Some(reference) = service.get("taskDefinition").and_then(Value::as_str) else { continue };
            standing.extend(self.revisions.get(&self.cluster, reference).await.map_err(failed())?);
        }
        standing.extend(self.revisions.newest(&self.cluster, &key.name).await.map_err(failed())?);
        standing
            .retain(|revision| revision.family == key.name && revision.ownership(owner) == Ownership::Ours);
        standing.dedup_by(|left, right| left.arn == right.arn);
        for revision in standing {
            self.revisions.forget(&revision);
            self.cluster.untag(&revision.arn, &Tags::owners_keys()).await.map_err(failed())?;
        }
        Ok(())
    }
}
