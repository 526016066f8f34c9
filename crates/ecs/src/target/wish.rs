//! What a service is to be, where its file alone does not say it.

use minato_resource::{Object, ResourceKey};
use minato_sync::{Context, TargetError};
use minato_task_definition::{GROUP, ServiceDefinition, TASK_DEFINITION_KIND, TaskDefinitionReference};
use serde_json::Value;

use super::EcsTarget;
use crate::failure::{of_call, of_object, refused};
use crate::revision::Revision;

/// What a service is to run.
pub(super) enum Runs {
    /// A revision that is there.
    Registered(Registered),
    /// A desired definition of this family that no revision is yet.
    NotYet(String),
}

/// A registered revision, by its two names.
pub(super) struct Registered {
    /// `family:revision`.
    pub(super) name: String,
    pub(super) arn: String,
}

impl Runs {
    /// How it is shown.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Registered(revision) => revision.name.clone(),
            Self::NotYet(family) => format!("{family} (new revision)"),
        }
    }

    fn revision(revision: Revision) -> Self {
        Self::Registered(Registered { name: revision.name, arn: revision.arn })
    }
}

impl EcsTarget {
    /// What a service is to run: the revision that is the desired definition of its family where there is one, else
    /// what the service's document names.
    pub(super) async fn runs(
        &self,
        desired: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> Result<Option<Runs>, TargetError> {
        let key = desired.key();
        let Some(text) = desired.text("/spec/taskDefinition") else { return Ok(None) };
        let reference: TaskDefinitionReference = text
            .parse()
            .map_err(|error: minato_task_definition::ReferenceError| refused(key, error.to_string()))?;
        let definition = definition_key(&reference.family);
        match context.desired.iter().find(|object| *object.key() == definition) {
            Some(definition) => self.desired_revision(definition, live, context).await,
            None => self.named_revision(key, text, &reference).await,
        }
        .map(Some)
    }

    /// The revision that a desired definition is: the one that runs already, where that one will do.
    async fn desired_revision(
        &self,
        definition: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> Result<Runs, TargetError> {
        let running = live.and_then(|live| live.text("/spec/taskDefinition"));
        let first: Vec<&str> = running.into_iter().chain(applied(definition.key(), context)).collect();
        let found = self.revisions.serving(&self.cluster, definition, &context.owner, &first).await;
        let found = found.map_err(of_object(&self.place, definition.key()))?;
        Ok(found.map_or_else(|| Runs::NotYet(definition.name().to_owned()), Runs::revision))
    }

    /// The revision that a service names and that is in no file.
    async fn named_revision(
        &self,
        key: &ResourceKey,
        text: &str,
        reference: &TaskDefinitionReference,
    ) -> Result<Runs, TargetError> {
        let found = match reference.revision {
            Some(_) => self.revisions.get(&self.cluster, text).await,
            None => self.revisions.newest(&self.cluster, &reference.family).await,
        };
        let problem = match found.map_err(of_object(&self.place, key))? {
            Some(revision) if revision.is_active => return Ok(Runs::revision(revision)),
            Some(_) => "is deregistered; name an active revision",
            None => "is neither among the files nor registered at ECS; add it to the files",
        };
        Err(refused(key, format!("task definition {reference} {problem}")))
    }

    /// Whether the number of tasks is not the file's to say: Application Auto Scaling moves it. Asked only where it
    /// makes a difference.
    pub(super) async fn count_is_others(
        &self,
        desired: &Object,
        live: Option<&Object>,
    ) -> Result<bool, TargetError> {
        let (wished, _) = ServiceDefinition::from_object(desired);
        let wished = wished.and_then(|service| service.desired_count).map(u64::from);
        let running = live.and_then(|live| live.get("/spec/desiredCount")).and_then(Value::as_u64);
        if live.is_none() || wished.is_none() || wished == running {
            return Ok(false);
        }
        self.cluster.is_autoscaled(desired.name()).await.map_err(|error| {
            if error.is_denied() {
                // Guessing wrong would take tasks away from a service that needs them.
                let message = format!("whether autoscaling moves `desiredCount` can't be asked: {error}; allow that, or leave the field out of the file");
                return refused(desired.key(), message);
            }
            of_call(&self.place)(error)
        })
    }
}

/// What was applied for an Object, as far as it is known.
pub(super) fn applied<'a>(key: &'a ResourceKey, context: &'a Context) -> impl Iterator<Item = &'a str> {
    context.applied.iter().filter(move |applied| applied.key == *key).map(|applied| applied.identity.as_str())
}

fn definition_key(family: &str) -> ResourceKey {
    ResourceKey::new(GROUP, TASK_DEFINITION_KIND, "", family)
}
