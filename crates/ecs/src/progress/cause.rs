//! Why a deployment failed: what its tasks, the service and the log say.

use minato_sync::Cause;
use serde_json::Value;

use super::standing::Standing;
use crate::field::{items, text};

/// Events of the service that are told.
const EVENTS: usize = 3;
/// Longest text of one fact or log line: what a container prints is not to be trusted.
const LONGEST: usize = 500;

/// Beginnings of `stoppedReason` and of containers' reasons, and what to do about them.
const HINTS: [(&str, &str); 5] = [
    ("CannotPullContainer", "check the image's name and tag, and that the execution role may pull it"),
    (
        "ResourceInitializationError",
        "check the execution role, and that the subnets reach the registry and the secrets",
    ),
    ("OutOfMemory", "the container needs more memory than the task definition gives it"),
    ("CannotStartContainer", "check the container's command, user and mounts"),
    ("CannotCreateVolume", "check the volumes of the task definition"),
];

/// What is known about a failure.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub service: Option<Value>,
    /// The newest task of the deployment that stopped.
    pub task: Option<Value>,
    pub log_lines: Vec<String>,
}

/// The newest task that a deployment started and that has stopped.
pub(crate) fn task_of_interest(tasks: Vec<Value>, deployment: &str) -> Option<Value> {
    let own = tasks.into_iter().filter(|task| text(task, "startedBy") == deployment);
    let stopped = |task: &Value| task.get("stoppedAt").and_then(Value::as_f64).unwrap_or_default();
    own.max_by(|left, right| stopped(left).total_cmp(&stopped(right)))
}

/// Where the log of a task's failing container is: (region, group, stream). Only the driver `awslogs` keeps it where it
/// can be read.
pub(crate) fn log_place(task: &Value, definition: &Value) -> Option<(String, String, String)> {
    let name = text(failing_container(task)?, "name");
    let containers = definition.get("containerDefinitions")?.as_array()?;
    let log = containers.iter().find(|container| text(container, "name") == name)?.get("logConfiguration")?;
    let option = |name: &str| log.get("options").map(|options| text(options, name)).unwrap_or_default();
    let id = text(task, "taskArn").rsplit('/').next().unwrap_or_default();
    let (region, group, prefix) =
        (option("awslogs-region"), option("awslogs-group"), option("awslogs-stream-prefix"));
    let complete =
        text(log, "logDriver") == "awslogs" && !group.is_empty() && !prefix.is_empty() && !id.is_empty();
    complete.then(|| (region.to_owned(), group.to_owned(), format!("{prefix}/{name}/{id}")))
}

impl Evidence {
    /// The cause of a failure; `None` for a standing that is none.
    pub(crate) fn cause(self, service: &str, runs: Option<&str>, standing: &Standing) -> Option<Cause> {
        let what = match runs {
            Some(runs) => format!("the deployment of {runs} to service {service}"),
            None => format!("the deployment to service {service}"),
        };
        let summary = match standing {
            Standing::Completed | Standing::Underway(_) => return None,
            Standing::Failed(reason) => format!("{what} failed: {reason}"),
            Standing::RolledBack(reason) => format!("ECS rolled {what} back: {reason}"),
            Standing::Replaced(by) => format!("{what} was replaced by {by} before it was done"),
            Standing::Gone(how) => format!("{what} has nothing to run in: {how}"),
        };
        let task = self.task.as_ref();
        let summary = match task.and_then(failing_container).map(told_container) {
            Some(told) => format!("{summary}; {told}"),
            None => summary,
        };
        let mut facts = task.map(task_facts).unwrap_or_default();
        facts.extend(self.service.iter().flat_map(events));
        let hint = hint(&facts);
        Some(Cause {
            summary,
            facts,
            log_lines: self.log_lines.iter().map(|line| shortened(line)).collect(),
            hint,
        })
    }
}

/// The container that ended badly; an error without a container is the task's.
fn failing_container(task: &Value) -> Option<&Value> {
    let containers = task.get("containers")?.as_array()?;
    let exit =
        |container: &&Value| container.get("exitCode").and_then(Value::as_i64).is_some_and(|code| code != 0);
    let reason = |container: &&Value| !text(container, "reason").is_empty();
    containers.iter().find(exit).or_else(|| containers.iter().find(reason))
}

/// "container web exited with code 1".
fn told_container(container: &Value) -> String {
    let name = text(container, "name");
    match container.get("exitCode").and_then(Value::as_i64) {
        Some(code) => format!("container {name} exited with code {code}"),
        None => format!("container {name}: {}", shortened(text(container, "reason"))),
    }
}

fn task_facts(task: &Value) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            facts.push((name.to_owned(), shortened(value)));
        }
    };
    fact("task", text(task, "taskArn").rsplit('/').next().unwrap_or_default());
    fact("stopped", text(task, "stoppedReason"));
    for container in items(task, "containers") {
        let name = format!("container {}", text(container, "name"));
        let exit = container.get("exitCode").and_then(Value::as_i64).map(|code| format!("exit code {code}"));
        let reason = text(container, "reason");
        let told = [exit.as_deref().unwrap_or_default(), reason].map(str::to_owned);
        fact(&name, &told.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": "));
    }
    facts
}

fn events(service: &Value) -> Vec<(String, String)> {
    let events = items(service, "events").take(EVENTS);
    events.map(|event| ("event".to_owned(), shortened(text(event, "message")))).collect()
}

fn hint(facts: &[(String, String)]) -> Option<String> {
    let told = |beginning: &str| facts.iter().any(|(_, text)| text.contains(beginning));
    HINTS.iter().find(|(beginning, _)| told(beginning)).map(|(_, hint)| (*hint).to_owned())
}

fn shortened(text: &str) -> String {
    text.trim_end().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task(id: &str, started_by: &str, stopped: f64, containers: Value) -> Value {
        json!({"taskArn": format!("arn:aws:ecs:r:1:task/main/{id}"), "startedBy": started_by, "stoppedAt": stopped,
            "stoppedReason": "Essential container in task exited", "containers": containers})
    }

    #[test]
    fn the_newest_task_of_this_deployment_is_looked_at() {
        let tasks = vec![
            task("a", "ecs-svc/1", 10.0, json!([])),
            task("b", "ecs-svc/1", 20.0, json!([])),
            task("c", "ecs-svc/2", 30.0, json!([])),
        ];
        let found = task_of_interest(tasks, "ecs-svc/1").unwrap();
        assert_eq!(text(&found, "taskArn"), "arn:aws:ecs:r:1:task/main/b");
        assert_eq!(task_of_interest(Vec::new(), "ecs-svc/1"), None);
    }

    #[test]
    fn a_cause_says_which_container_ended_how() {
        let containers = json!([{"name": "proxy", "exitCode": 0}, {"name": "web", "exitCode": 3, "reason": "OutOfMemoryError: used up"}]);
        let evidence = Evidence {
            service: Some(json!({"events": [{"message": "(service web) stopped 1 tasks."}]})),
            task: Some(task("b", "ecs-svc/1", 1.0, containers)),
            log_lines: vec![format!("{}\n", "x".repeat(600))],
        };
        let standing = Standing::Failed("tasks failed to start".into());
        let cause = evidence.cause("web", Some("web:7"), &standing).unwrap();
        assert_eq!(
            cause.summary,
            "the deployment of web:7 to service web failed: tasks failed to start; container web exited with code 3"
        );
        let facts: Vec<String> = cause.facts.iter().map(|(name, text)| format!("{name} = {text}")).collect();
        let expected = [
            "task = b",
            "stopped = Essential container in task exited",
            "container proxy = exit code 0",
            "container web = exit code 3: OutOfMemoryError: used up",
            "event = (service web) stopped 1 tasks.",
        ];
        assert_eq!(facts, expected);
        assert_eq!(cause.log_lines[0].len(), 500);
        assert_eq!(
            cause.hint.as_deref(),
            Some("the container needs more memory than the task definition gives it")
        );
    }

    #[test]
    fn every_bad_end_has_its_words() {
        let check = |standing: Standing, expected: &str| {
            let cause = Evidence::default().cause("web", Some("web:7"), &standing);
            assert_eq!(cause.map(|cause| cause.summary).unwrap_or_default(), expected);
        };
        check(Standing::Completed, "");
        check(Standing::Underway(String::new()), "");
        check(Standing::RolledBack("x".into()), "ECS rolled the deployment of web:7 to service web back: x");
        check(
            Standing::Replaced("deployment ecs-svc/9".into()),
            "the deployment of web:7 to service web was replaced by deployment ecs-svc/9 before it was done",
        );
        check(
            Standing::Gone("the service is DRAINING".into()),
            "the deployment of web:7 to service web has nothing to run in: the service is DRAINING",
        );
    }

    #[test]
    fn the_log_is_where_awslogs_puts_it() {
        let definition = |driver: &str| {
            json!({"containerDefinitions": [{"name": "web", "logConfiguration": {"logDriver": driver, "options":
                {"awslogs-group": "/shop", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "ecs"}}}]})
        };
        let task = task("b", "ecs-svc/1", 1.0, json!([{"name": "web", "exitCode": 1}]));
        let place = log_place(&task, &definition("awslogs")).unwrap();
        assert_eq!(place, ("eu-central-1".into(), "/shop".into(), "ecs/web/b".into()));
        assert_eq!(log_place(&task, &definition("json-file")), None);
        assert_eq!(log_place(&task, &json!({})), None);
    }
}
