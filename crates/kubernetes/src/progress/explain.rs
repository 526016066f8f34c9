//! Why a change failed: its pods' trouble, the events around it, the end of the log.

use minato_sync::{Cause, TargetError};
use serde_json::Value;

use super::pods::Trouble;
use crate::api::{Api, ApiError, JSON, Place, Query};
use crate::handle::Handle;
use crate::normal::plain;

/// Events that are told.
const EVENTS: usize = 3;

/// Lines of the log that are told, and bytes that are asked for.
const LOG_LINES: usize = 20;
const LOG_BYTES: &str = "65536";

/// Longest text of one fact.
const FACT_LIMIT: usize = 500;

/// Puts together what is known. What can't be read (no right to, gone meanwhile) is left out; only a cluster that does
/// not answer is an error.
pub(super) async fn cause(
    api: &Api,
    handle: &Handle,
    summary: Option<String>,
    trouble: Option<Trouble>,
) -> Result<Cause, TargetError> {
    let namespace = handle.key.namespace.as_str();
    let pod = trouble.as_ref().map(|trouble| trouble.pod.as_str());
    let own = pod != Some(handle.key.name.as_str()) || !handle.key.is("", "Pod");
    let mut events = match pod {
        Some(pod) => events(api, namespace, "Pod", pod).await?,
        None => Vec::new(),
    };
    if own {
        events.extend(self::events(api, namespace, &handle.key.kind, &handle.key.name).await?);
    }
    let log_lines = match &trouble {
        Some(trouble) => log(api, namespace, trouble).await?,
        None => Vec::new(),
    };
    Ok(told(summary, trouble, &events, log_lines))
}

/// The cause in words; pure.
fn told(
    summary: Option<String>,
    trouble: Option<Trouble>,
    events: &[Event],
    log_lines: Vec<String>,
) -> Cause {
    let mut cause = Cause { log_lines, ..Cause::default() };
    let mut fact = |name: &str, text: &str| cause.facts.push((name.to_owned(), short(text)));
    if let Some(trouble) = &trouble {
        fact("replica", &trouble.pod);
        if !trouble.container.is_empty() {
            fact("container", &trouble.container);
        }
        trouble.facts.iter().for_each(|(name, text)| fact(name, text));
    }
    let probe = events.iter().find_map(Event::probe);
    if let Some((probe, answer)) = probe {
        fact("probe", probe);
        fact("answer", answer);
    }
    events.iter().filter(|event| event.probe().is_none()).take(EVENTS).for_each(|event| {
        fact("event", &format!("{}: {}", event.reason, event.message));
    });
    cause.summary = match (summary, &trouble) {
        (Some(summary), Some(trouble)) => format!("{summary}: {}", plain(&trouble.summary)),
        (Some(summary), None) => match events.first() {
            Some(event) if !summary.contains(&event.message) => format!("{summary}: {}", event.message),
            _ => summary,
        },
        (None, Some(trouble)) => plain(&trouble.summary),
        (None, None) => "it did not become healthy".to_owned(),
    };
    let refused = probe.is_some_and(|(_, answer)| answer.contains("refused"));
    cause.hint = trouble.and_then(|trouble| trouble.hint).or_else(|| {
        refused.then(|| {
            "nothing listens there on the pod's address; check the port, and that the program binds 0.0.0.0 and not \
             only 127.0.0.1"
                .to_owned()
        })
    });
    cause.hint.get_or_insert_with(|| {
        "look at the pods with `kubectl describe`, correct the files, and sync again".to_owned()
    });
    cause
}

/// A warning of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    reason: String,
    message: String,
    at: String,
}

impl Event {
    /// (probe, what it answered), for the kubelet's `Unhealthy`.
    fn probe(&self) -> Option<(&str, &str)> {
        self.message.split_once(" failed: ").filter(|_| self.reason == "Unhealthy")
    }
}

/// Warnings about one object, newest first, each reason once.
async fn events(api: &Api, namespace: &str, kind: &str, name: &str) -> Result<Vec<Event>, TargetError> {
    let place = Place { group: "", version: "v1", plural: "events", namespace };
    let about = format!("involvedObject.kind={kind},involvedObject.name={name},type=Warning");
    let path = Query::new().with("fieldSelector", &about).with("limit", "100").after(&place.list());
    match api.get(&path, JSON).await {
        Ok(answer) => Ok(newest_events(&answer.value)),
        Err(ApiError::Refused(refusal)) if !refusal.may_pass() => Ok(Vec::new()),
        Err(error) => Err(error.asked(format!("the events of {kind} {name}"))),
    }
}

fn newest_events(list: &Value) -> Vec<Event> {
    let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
    let mut events: Vec<Event> = items.map(read_event).collect();
    events.sort_by(|left, right| right.at.cmp(&left.at));
    let mut reasons = std::collections::BTreeSet::new();
    events.retain(|event| reasons.insert(event.reason.clone()));
    events
}

fn read_event(item: &Value) -> Event {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let at = text("/series/lastObservedTime").or(text("/lastTimestamp")).or(text("/eventTime"));
    let at = at.or(text("/metadata/creationTimestamp"));
    Event {
        reason: plain(text("/reason").unwrap_or_default()),
        message: plain(text("/message").unwrap_or_default()),
        at: at.unwrap_or_default().to_owned(),
    }
}

/// The end of the container's log: of its last run when it is waiting for the next.
async fn log(api: &Api, namespace: &str, trouble: &Trouble) -> Result<Vec<String>, TargetError> {
    let Some(previous) = trouble.previous_log else { return Ok(Vec::new()) };
    let mut lines = read_log(api, namespace, trouble, previous).await?;
    if lines.is_empty() && previous {
        lines = read_log(api, namespace, trouble, false).await?;
    }
    Ok(lines)
}

async fn read_log(
    api: &Api,
    namespace: &str,
    trouble: &Trouble,
    previous: bool,
) -> Result<Vec<String>, TargetError> {
    let place = Place { group: "", version: "v1", plural: "pods", namespace };
    let query = Query::new()
        .with("container", &trouble.container)
        .with("tailLines", &LOG_LINES.to_string())
        .with("limitBytes", LOG_BYTES)
        .with_if(previous, "previous", "true");
    match api.text(&query.after(&format!("{}/log", place.object(&trouble.pod)))).await {
        Ok(text) => {
            let lines: Vec<String> = text.lines().map(plain).collect();
            Ok(lines[lines.len().saturating_sub(LOG_LINES)..].to_vec())
        }
        // Not there, not allowed, or the node does not answer: the rest of the cause is worth telling anyway.
        Err(_) => Ok(Vec::new()),
    }
}

fn short(text: &str) -> String {
    plain(text).chars().take(FACT_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(reason: &str, message: &str) -> Event {
        Event { reason: reason.to_owned(), message: message.to_owned(), at: String::new() }
    }

    #[test]
    fn a_probes_answer_is_a_fact_and_says_what_to_do() {
        let events = [event("Unhealthy", "Readiness probe failed: dial tcp 10.0.0.1:80: connection refused")];
        let cause = told(Some("no progress for 600 s".into()), None, &events, Vec::new());
        assert_eq!(
            cause.facts,
            [
                ("probe".to_owned(), "Readiness probe".to_owned()),
                ("answer".to_owned(), "dial tcp 10.0.0.1:80: connection refused".to_owned())
            ]
        );
        assert!(cause.hint.unwrap().contains("0.0.0.0"));
    }

    #[test]
    fn without_pods_the_newest_event_tells_why() {
        let events = [event("FailedCreate", "pods \"web\" is forbidden: exceeded quota")];
        let cause = told(Some("no progress for 600 s".into()), None, &events, Vec::new());
        assert_eq!(cause.summary, "no progress for 600 s: pods \"web\" is forbidden: exceeded quota");
        assert_eq!(cause.facts[0].0, "event");
        assert!(cause.hint.is_some());
    }

    #[test]
    fn events_are_told_newest_first_and_each_reason_once() {
        let item = |reason: &str, at: &str| json!({"reason": reason, "message": at, "lastTimestamp": at});
        let list = json!({"items": [item("BackOff", "1"), item("Failed", "2"), item("BackOff", "3"),
            {"reason": "New", "message": "x\u{7}", "eventTime": "4"}]});
        let told: Vec<String> =
            newest_events(&list).into_iter().map(|event| event.reason + " " + &event.message).collect();
        assert_eq!(told, ["New x ", "BackOff 3", "Failed 2"]);
        assert!(newest_events(&json!({"items": 3})).is_empty());
    }
}
