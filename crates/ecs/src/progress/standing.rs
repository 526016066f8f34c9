//! The rules: what `DescribeServices` says of one deployment.

use serde_json::Value;

use crate::field::{items, number, text};

/// How a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Out and stable.
    Completed,
    /// On its way; what it waits for.
    Underway(String),
    /// Given up; why.
    Failed(String),
    /// Given up, and ECS went back to an earlier one; why.
    RolledBack(String),
    /// Another deployment took its place before it was done; which.
    Replaced(String),
    /// The service is not there any more; how that shows.
    Gone(String),
}

/// The deployment that the service is becoming.
pub(crate) fn primary(service: &Value) -> Option<&Value> {
    deployments(service).find(|deployment| text(deployment, "status") == "PRIMARY")
}

/// Tasks that may fail before a deployment is given up (developer guide, deployment circuit breaker): half of the
/// desired ones, rounded up, but from 3 to 200.
pub(crate) fn failure_threshold(desired: u64) -> u64 {
    desired.div_ceil(2).clamp(3, 200)
}

/// How the deployment `id` of a service stands, from the service alone. Without an id (another controller deploys) the
/// numbers of tasks decide.
pub(crate) fn standing(service: Option<&Value>, id: Option<&str>) -> Standing {
    let Some(service) = service else {
        return Standing::Gone("there is no such service any more".to_owned());
    };
    let status = text(service, "status");
    if !status.is_empty() && status != "ACTIVE" {
        return Standing::Gone(format!("the service is {status}"));
    }
    let Some(id) = id else { return by_numbers(service, service) };
    match deployments(service).find(|deployment| text(deployment, "id") == id) {
        Some(deployment) => of_deployment(service, deployment, id),
        None => of_missing(service, id),
    }
}

fn of_deployment(service: &Value, deployment: &Value, id: &str) -> Standing {
    let reason = || reason_of(service, deployment, id);
    let is_primary = text(deployment, "status") == "PRIMARY";
    match text(deployment, "rolloutState") {
        "COMPLETED" => Standing::Completed,
        "FAILED" if is_primary => Standing::Failed(reason()),
        "FAILED" if goes_back(service) => Standing::RolledBack(reason()),
        "FAILED" => Standing::Failed(reason()),
        _ if !is_primary && primary(service).is_some() => {
            if goes_back_by_words(service) {
                Standing::RolledBack(reason())
            } else {
                Standing::Replaced(replacement(service))
            }
        }
        "" => by_numbers(service, deployment),
        _ => given_up(service, deployment).unwrap_or_else(|| Standing::Underway(numbers(deployment))),
    }
}

/// The deployment is not listed any more: its end may be among the service's events.
fn of_missing(service: &Value, id: &str) -> Standing {
    let own: Vec<&str> = events(service).filter(|message| names(message, id)).collect();
    let told = |words: &str| own.iter().any(|message| message.contains(words));
    if told("deployment completed") {
        return Standing::Completed;
    }
    if goes_back_by_words(service) {
        let failed = own.iter().find(|message| message.contains("failed"));
        let reason = failed.map_or_else(|| primary_reason(service).to_owned(), |message| plain(message));
        return Standing::RolledBack(reason);
    }
    match own.iter().find(|message| message.contains("deployment failed")) {
        Some(message) => Standing::Failed(plain(message)),
        None => Standing::Replaced(replacement(service)),
    }
}

/// Without a circuit breaker ECS starts failing tasks for ever. What it would call a failure with one is called so here.
fn given_up(service: &Value, deployment: &Value) -> Option<Standing> {
    let breaker = service.pointer("/deploymentConfiguration/deploymentCircuitBreaker/enable");
    let failed = number(deployment, "failedTasks");
    let (desired, running) = (number(deployment, "desiredCount"), number(deployment, "runningCount"));
    let is_over = failed >= failure_threshold(desired) && running < desired;
    (is_over && breaker != Some(&Value::Bool(true)))
        .then(|| Standing::Failed(format!("{failed} tasks failed, {running} of {desired} run")))
}

fn by_numbers(service: &Value, counted: &Value) -> Standing {
    let (desired, running) = (number(counted, "desiredCount"), number(counted, "runningCount"));
    let alone = deployments(service).count() <= 1;
    if alone && running == desired && number(counted, "pendingCount") == 0 {
        Standing::Completed
    } else {
        Standing::Underway(numbers(counted))
    }
}

/// "1 of 3 tasks running, 2 starting, 1 failed".
fn numbers(counted: &Value) -> String {
    let (running, desired) = (number(counted, "runningCount"), number(counted, "desiredCount"));
    let mut told = format!("{running} of {desired} tasks running");
    for (field, what) in [("pendingCount", "starting"), ("failedTasks", "failed")] {
        let count = number(counted, field);
        if count > 0 {
            told.push_str(&format!(", {count} {what}"));
        }
    }
    told
}

/// Whether ECS went back by itself: it says so, or it was told to when a deployment fails.
fn goes_back(service: &Value) -> bool {
    let told = |pointer: &str| service.pointer(pointer) == Some(&Value::Bool(true));
    goes_back_by_words(service)
        || told("/deploymentConfiguration/deploymentCircuitBreaker/rollback")
        || told("/deploymentConfiguration/alarms/rollback")
}

/// The words of ECS: the primary deployment's reason, or an event that names it.
fn goes_back_by_words(service: &Value) -> bool {
    let id = primary(service).map(|primary| text(primary, "id")).unwrap_or_default();
    let back = |message: &str| message.to_ascii_lowercase().contains("rolling back");
    back(primary_reason(service)) || events(service).any(|message| back(message) && names(message, id))
}

/// Whether an event names this deployment, and not one whose id only starts the same.
fn names(message: &str, id: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
    !id.is_empty() && message.match_indices(id).any(|(at, _)| ends(&message[at + id.len()..]))
}

fn primary_reason(service: &Value) -> &str {
    primary(service).map(|primary| text(primary, "rolloutStateReason")).unwrap_or_default()
}

fn reason_of(service: &Value, deployment: &Value, id: &str) -> String {
    let own = text(deployment, "rolloutStateReason");
    if !own.is_empty() {
        return own.trim_end_matches('.').to_owned();
    }
    let event = events(service).find(|message| names(message, id) && message.contains("failed"));
    event.map_or_else(|| "ECS gave it up".to_owned(), plain)
}

/// "deployment ecs-svc/9 of web:8".
fn replacement(service: &Value) -> String {
    let Some(primary) = primary(service) else { return "no deployment".to_owned() };
    let runs = text(primary, "taskDefinition").rsplit('/').next().unwrap_or_default();
    let id = text(primary, "id");
    if runs.is_empty() { format!("deployment {id}") } else { format!("deployment {id} of {runs}") }
}

/// An event without the names that it starts with: `(service web) (deployment ecs-svc/1) deployment failed: …`.
fn plain(message: &str) -> String {
    let mut rest = message.trim();
    while let Some((_, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(") ")) {
        rest = after;
    }
    rest.trim_end_matches('.').to_owned()
}

fn deployments(service: &Value) -> impl Iterator<Item = &Value> {
    items(service, "deployments")
}

fn events(service: &Value) -> impl Iterator<Item = &str> {
    items(service, "events").map(|event| text(event, "message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OURS: &str = "ecs-svc/1";

    fn check(service: Value, expected: Standing) {
        assert_eq!(standing(Some(&service), Some(OURS)), expected, "{service}");
    }

    fn underway(text: &str) -> Standing {
        Standing::Underway(text.to_owned())
    }

    fn ours(state: &str, reason: &str) -> Value {
        json!({"id": OURS, "status": "PRIMARY", "rolloutState": state, "rolloutStateReason": reason,
            "taskDefinition": "arn:x/web:7", "desiredCount": 2, "runningCount": 1, "pendingCount": 1})
    }

    fn theirs(reason: &str) -> Value {
        json!({"id": "ecs-svc/9", "status": "PRIMARY", "rolloutState": "COMPLETED", "rolloutStateReason": reason,
            "taskDefinition": "arn:x/web:6"})
    }

    fn old(mut deployment: Value) -> Value {
        deployment["status"] = Value::from("ACTIVE");
        deployment
    }

    #[test]
    fn our_deployment_is_listed() {
        let alone = |deployment: Value| json!({"status": "ACTIVE", "deployments": [deployment]});
        check(alone(ours("COMPLETED", "")), Standing::Completed);
        check(alone(ours("IN_PROGRESS", "")), underway("1 of 2 tasks running, 1 starting"));
        check(
            alone(ours("FAILED", "tasks failed to start.")),
            Standing::Failed("tasks failed to start".into()),
        );
        check(alone(ours("FAILED", "")), Standing::Failed("ECS gave it up".into()));
    }

    #[test]
    fn a_rollback_by_ecs_is_no_success() {
        let back = "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/9.";
        let reason = "ECS deployment circuit breaker: tasks failed to start.";
        let failed = old(ours("FAILED", reason));
        let told = Standing::RolledBack(reason.trim_end_matches('.').into());
        check(json!({"deployments": [theirs(back), failed]}), told.clone());
        let config = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
        check(json!({"deployments": [theirs(""), failed], "deploymentConfiguration": config}), told);
        // Our deployment is not listed any more.
        check(json!({"deployments": [theirs(back)]}), Standing::RolledBack(back.into()));
        let events = json!([
            {"message": "(service web) rolling back to deployment ecs-svc/9."},
            {"message": "(service web) (deployment ecs-svc/1) deployment failed: tasks failed to start."}]);
        let told = Standing::RolledBack("deployment failed: tasks failed to start".into());
        check(json!({"deployments": [theirs("")], "events": events}), told);
    }

    #[test]
    fn a_deployment_that_was_replaced_is_no_success() {
        let replaced = Standing::Replaced("deployment ecs-svc/9 of web:6".into());
        check(json!({"deployments": [theirs("")]}), replaced.clone());
        check(json!({"deployments": [theirs(""), old(ours("IN_PROGRESS", ""))]}), replaced.clone());
        check(
            json!({"deployments": [theirs("")], "events": [{"message": "(service web) has reached a steady state."}]}),
            replaced,
        );
        check(json!({"deployments": []}), Standing::Replaced("no deployment".into()));
    }

    #[test]
    fn a_deployment_that_was_done_before_another_came_was_done() {
        let done = json!([{"message": "(service web) (deployment ecs-svc/1) deployment completed."}]);
        check(json!({"deployments": [theirs("")], "events": done}), Standing::Completed);
        check(json!({"deployments": [theirs(""), old(ours("COMPLETED", ""))]}), Standing::Completed);
        let another = json!([{"message": "(service web) (deployment ecs-svc/12) deployment failed."},
            {"message": "(service web) (deployment ecs-svc/9) deployment completed."}]);
        check(
            json!({"deployments": [theirs("")], "events": another}),
            Standing::Replaced("deployment ecs-svc/9 of web:6".into()),
        );
    }

    #[test]
    fn a_service_that_is_gone_has_no_deployment() {
        assert_eq!(standing(None, Some(OURS)), Standing::Gone("there is no such service any more".into()));
        check(json!({"status": "DRAINING"}), Standing::Gone("the service is DRAINING".into()));
    }

    #[test]
    fn without_a_circuit_breaker_failing_tasks_end_it_where_one_would() {
        let with = |failed: u64, breaker: bool| {
            let mut deployment = ours("IN_PROGRESS", "");
            deployment["failedTasks"] = Value::from(failed);
            json!({"deployments": [deployment],
                "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": breaker}}})
        };
        check(with(2, false), underway("1 of 2 tasks running, 1 starting, 2 failed"));
        check(with(3, false), Standing::Failed("3 tasks failed, 1 of 2 run".into()));
        check(with(3, true), underway("1 of 2 tasks running, 1 starting, 3 failed"));
        for (desired, threshold) in [(0, 3), (1, 3), (7, 4), (25, 13), (400, 200), (4000, 200)] {
            assert_eq!(failure_threshold(desired), threshold);
        }
    }

    #[test]
    fn where_nobody_tells_a_state_the_numbers_decide() {
        let counts = |running: u64| json!({"status": "ACTIVE", "desiredCount": 2, "runningCount": running});
        assert_eq!(standing(Some(&counts(2)), None), Standing::Completed);
        assert_eq!(standing(Some(&counts(1)), None), underway("1 of 2 tasks running"));
        let mut deployment = ours("", "");
        check(json!({"deployments": [deployment]}), underway("1 of 2 tasks running, 1 starting"));
        deployment["runningCount"] = json!(2);
        deployment["pendingCount"] = json!(0);
        check(json!({"deployments": [deployment]}), Standing::Completed);
    }
}
