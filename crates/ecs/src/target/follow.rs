//! Following one deployment, and finding out why it failed.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use minato_sync::{Cause, Progress, TargetError, Token};
use serde_json::Value;

use super::EcsTarget;
use crate::api::ApiError;
use crate::failure::of_call;
use crate::progress::{
    Deployment, Evidence, Handle, Standing, log_place, matching, standing, standing_of_own, task_of_interest,
};

/// Lines of a failed container's log that are told.
const LOG_LINES: usize = 20;

impl EcsTarget {
    pub(super) async fn follow(&self, token: &Token) -> Result<Progress, TargetError> {
        match Handle::parse(token) {
            Some(Handle::Registration(_)) => Ok(Progress::Healthy),
            Some(Handle::Deployment(deployment)) => {
                self.follow_deployment(&deployment).await.map_err(of_call(&self.place))
            }
            None => {
                let cause = Cause::new(format!("{:?} is no change of ECS", token.as_str()));
                Ok(Progress::Failed { cause })
            }
        }
    }

    async fn follow_deployment(&self, followed: &Deployment) -> Result<Progress, ApiError> {
        let service = self.cluster.service(&followed.service).await?;
        let mut standing = standing(service.as_ref(), followed.id.as_deref());
        if let Some(service) = &service
            && wants_own_record(&standing, service)
            && let Some(own) = self.own_standing(followed).await?
        {
            standing = decided(standing, own);
        }
        match &standing {
            Standing::Completed => return Ok(Progress::Healthy),
            Standing::Underway(message) => return Ok(Progress::Progressing { message: message.clone() }),
            _ => {}
        }
        let evidence = self.evidence(followed, service).await;
        let cause =
            evidence.cause(&followed.service, followed.runs.as_deref(), &standing).unwrap_or_default();
        Ok(match standing {
            Standing::RolledBack(_) => Progress::RolledBackByTarget { cause },
            _ => Progress::Failed { cause },
        })
    }

    /// What the deployment's own record says, where this API keeps such records.
    async fn own_standing(&self, followed: &Deployment) -> Result<Option<Standing>, ApiError> {
        let Some(id) = followed.id.as_deref() else { return Ok(None) };
        if self.lacks_own_records.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let known = self.own_records.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let arn = match known {
            Some(arn) => arn,
            None => {
                let Some(briefs) = self.cluster.service_deployments(&followed.service).await? else {
                    self.lacks_own_records.store(true, Ordering::Relaxed);
                    return Ok(None);
                };
                let Some(arn) = matching(&briefs, id, followed.created) else { return Ok(None) };
                let mut records = self.own_records.lock().unwrap_or_else(PoisonError::into_inner);
                records.insert(id.to_owned(), arn.to_owned());
                arn.to_owned()
            }
        };
        Ok(self.cluster.service_deployment(&arn).await?.as_ref().and_then(standing_of_own))
    }

    /// Everything that helps to find the reason. What can't be read is left out: the failure is told anyway.
    async fn evidence(&self, followed: &Deployment, service: Option<Value>) -> Evidence {
        let mut evidence = Evidence { service, ..Evidence::default() };
        let tasks = self.cluster.stopped_tasks(&followed.service).await.unwrap_or_default();
        let Some(task) = followed.id.as_deref().and_then(|id| task_of_interest(tasks, id)) else {
            return evidence;
        };
        evidence.log_lines = self.log_of(&task).await.unwrap_or_default();
        evidence.task = Some(task);
        evidence
    }

    async fn log_of(&self, task: &Value) -> Option<Vec<String>> {
        let reference = task.get("taskDefinitionArn").and_then(Value::as_str)?;
        let revision = self.revisions.get(&self.cluster, reference).await.ok()??;
        let (region, group, stream) = log_place(task, &revision.definition)?;
        let region = if region.is_empty() { self.cluster.region.clone() } else { region };
        self.cluster.log_tail(&region, &group, &stream, LOG_LINES).await.ok()
    }
}

/// Whether the service alone does not tell enough: the deployment is under way or no longer listed, or its traffic
/// moves after its tasks run.
fn wants_own_record(standing: &Standing, service: &Value) -> bool {
    let strategy = service.pointer("/deploymentConfiguration/strategy").and_then(Value::as_str);
    match standing {
        Standing::Underway(_) | Standing::Replaced(_) => true,
        Standing::Completed => strategy.is_some_and(|strategy| strategy != "ROLLING"),
        Standing::Failed(_) | Standing::RolledBack(_) | Standing::Gone(_) => false,
    }
}

/// The record knows best, but who replaced a deployment that was stopped, only the service tells.
fn decided(by_service: Standing, own: Standing) -> Standing {
    match (by_service, own) {
        (replaced @ Standing::Replaced(_), Standing::Failed(_)) => replaced,
        (_, own) => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_record_of_a_deployment_is_asked_for_where_it_is_needed() {
        let service = |strategy: &str| json!({"deploymentConfiguration": {"strategy": strategy}});
        for (standing, strategy, asked) in [
            (Standing::Underway(String::new()), "ROLLING", true),
            (Standing::Replaced(String::new()), "ROLLING", true),
            (Standing::Completed, "ROLLING", false),
            (Standing::Completed, "BLUE_GREEN", true),
            (Standing::Failed(String::new()), "BLUE_GREEN", false),
        ] {
            assert_eq!(wants_own_record(&standing, &service(strategy)), asked, "{standing:?} {strategy}");
        }
        assert!(!wants_own_record(&Standing::Completed, &json!({})));
    }

    #[test]
    fn the_record_decides_but_the_service_names_the_successor() {
        let replaced = Standing::Replaced("ecs-svc/9".into());
        assert_eq!(decided(replaced.clone(), Standing::Failed("stopped".into())), replaced);
        assert_eq!(decided(replaced, Standing::Completed), Standing::Completed);
        let back = Standing::RolledBack("bad".into());
        assert_eq!(decided(Standing::Underway(String::new()), back.clone()), back);
    }
}
