//! What is wrong with the pods of a change, told from the pods alone.
//!
//! A change is given up before its deadline only when none of its pods has become ready and every one is hopeless:
//! - a container has ended after [`RESTARTS`] restarts (about 75 s, by the kubelet's back-off) and does not run just now;
//! - its image has not been pulled, or it could not be created (a ConfigMap or Secret is missing), [`PATIENCE`]
//!   seconds after the pod was scheduled: by then the kubelet has tried several times;
//! - its image's name can't be one, or it may not be pulled and is not there.
//!
//! A pod that can't be scheduled is not hopeless: a node may come.

use jiff::Timestamp;
use serde_json::Value;

/// Restarts after which a container that keeps ending is given up.
const RESTARTS: i64 = 3;

/// Seconds after scheduling in which what a container needs may still appear.
const PATIENCE: i64 = 60;

/// What is wrong with one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub pod: String,
    /// Empty when the pod itself is the matter.
    pub container: String,
    pub summary: String,
    pub facts: Vec<(String, String)>,
    pub hint: Option<String>,
    /// The container's log is worth reading: `Some(true)` is that of its last run.
    pub previous_log: Option<bool>,
    hopeless: bool,
}

/// The trouble that gives the change up now, by the rule above.
pub(crate) fn hopeless(pods: &[Value], now: Timestamp) -> Option<Trouble> {
    if pods.is_empty() || pods.iter().any(is_ready) {
        return None;
    }
    let troubles: Option<Vec<Trouble>> =
        pods.iter().map(|pod| trouble(pod, now).filter(|trouble| trouble.hopeless)).collect();
    troubles?.into_iter().next()
}

/// The worst that can be said of them: hopeless first, then whatever is known.
pub(crate) fn worst(pods: &[Value], now: Timestamp) -> Option<Trouble> {
    let mut troubles: Vec<Trouble> =
        pods.iter().filter(|pod| !is_ready(pod)).filter_map(|pod| trouble(pod, now)).collect();
    troubles.sort_by_key(|trouble| !trouble.hopeless);
    troubles.into_iter().next()
}

fn trouble(pod: &Value, now: Timestamp) -> Option<Trouble> {
    let waited = scheduled(pod).map_or(0, |since| now.duration_since(since).as_secs());
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = statuses.iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
    let found: Vec<Trouble> = statuses.filter_map(|status| in_container(pod, status, waited)).collect();
    let first = found.iter().position(|trouble| trouble.hopeless).unwrap_or(0);
    found.into_iter().nth(first).or_else(|| in_pod(pod))
}

fn in_container(pod: &Value, status: &Value, waited: i64) -> Option<Trouble> {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if status.get("ready").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or_default();
    let (reason, message) = (text("/state/waiting/reason"), text("/state/waiting/message"));
    let blank = Trouble {
        pod: name(pod).to_owned(),
        container: text("/name").to_owned(),
        summary: String::new(),
        facts: Vec::new(),
        hint: None,
        previous_log: None,
        hopeless: false,
    };
    match reason {
        "" | "CrashLoopBackOff" | "PodInitializing" | "ContainerCreating" => ended(status, restarts, blank),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => Some(no_image(blank, reason, message, text("/image"), waited)),
        reason => Some(not_created(blank, reason, message, waited)),
    }
}

fn no_image(blank: Trouble, reason: &str, message: &str, image: &str, waited: i64) -> Trouble {
    let never = matches!(reason, "InvalidImageName" | "ErrImageNeverPull");
    let hint = match reason {
        "InvalidImageName" => "correct the image's name",
        "ErrImageNeverPull" => {
            "the node has no such image and imagePullPolicy is Never: load it there, or allow pulling"
        }
        _ => "push the image, or correct its name or tag; a private registry needs imagePullSecrets",
    };
    Trouble {
        summary: format!(
            "container {} could not be started: its image {image} can't be pulled",
            blank.container
        ),
        facts: waiting(reason, message),
        hint: Some(hint.to_owned()),
        hopeless: never || waited >= PATIENCE,
        ..blank
    }
}

fn not_created(blank: Trouble, reason: &str, message: &str, waited: i64) -> Trouble {
    let said = if message.is_empty() { reason } else { message };
    let hint = (reason == "CreateContainerConfigError")
        .then(|| "add the ConfigMap or Secret that it names, or correct the name or key".to_owned());
    Trouble {
        summary: format!("container {} could not be started: {said}", blank.container),
        facts: waiting(reason, message),
        hint,
        hopeless: waited >= PATIENCE,
        ..blank
    }
}

fn waiting(reason: &str, message: &str) -> Vec<(String, String)> {
    let text = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
    vec![("waiting".to_owned(), text)]
}

/// A container that ended, and may be about to start again; one that runs and is not ready.
fn ended(status: &Value, restarts: i64, blank: Trouble) -> Option<Trouble> {
    let now = status.pointer("/state/terminated");
    let last = now.or_else(|| status.pointer("/lastState/terminated")).filter(|end| !end.is_null());
    let running = status.pointer("/state/running").is_some_and(|running| !running.is_null());
    let Some(end) = last else {
        return running.then(|| Trouble {
            summary: format!("container {} runs but is not ready", blank.container),
            previous_log: Some(false),
            ..blank
        });
    };
    let code = end.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
    let text = |name: &str| end.get(name).and_then(Value::as_str).unwrap_or_default();
    let killed = text("reason") == "OOMKilled";
    if now.is_some() && code == 0 && text("reason") == "Completed" && restarts == 0 {
        return None;
    }
    let how = if killed {
        "was ended for going over its memory limit".to_owned()
    } else if !text("message").is_empty() && code >= 126 {
        format!("could not run: {}", text("message"))
    } else {
        format!("exited with code {code}")
    };
    let mut facts = vec![("exit".to_owned(), format!("exited with code {code}"))];
    if killed {
        facts.push(("out of memory".to_owned(), "the kernel ended it at its memory limit".to_owned()));
    }
    if restarts > 0 {
        facts.push(("restarts".to_owned(), restarts.to_string()));
    }
    Some(Trouble {
        summary: format!(
            "container {} {how}{}",
            blank.container,
            repeated(if running { restarts } else { restarts + 1 })
        ),
        facts,
        hint: exit_hint(code, killed),
        // A container that is being started again has the log of its new run only.
        previous_log: Some(now.is_none()),
        hopeless: restarts >= RESTARTS && !running,
        ..blank
    })
}

fn repeated(times: i64) -> String {
    match times {
        ..=1 => String::new(),
        2 => " twice".to_owned(),
        more => format!(" {more} times"),
    }
}

fn exit_hint(code: i64, killed: bool) -> Option<String> {
    let hint = match (killed, code) {
        (true, _) => "raise its memory limit or make it use less",
        (_, 0) => "the program ended by itself; a service must keep running in the foreground",
        (_, 126) => "126: the command exists but can't be executed; check its mode and #! line",
        (_, 127) => "127: a shell did not find the command; check PATH and the image",
        (_, 137) => "it was killed from outside",
        (_, 139) => "the program crashed (segmentation fault)",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What is wrong before any container has a state.
fn in_pod(pod: &Value) -> Option<Trouble> {
    let condition = condition(pod, "PodScheduled")?;
    let text = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
    (text("status") == "False").then(|| Trouble {
        pod: name(pod).to_owned(),
        container: String::new(),
        summary: format!("no node can run pod {}: {}", name(pod), text("message")),
        facts: Vec::new(),
        hint: Some(
            "lower its requests, add a node, or check its node selector, tolerations and claims".to_owned(),
        ),
        previous_log: None,
        hopeless: false,
    })
}

fn name(pod: &Value) -> &str {
    pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")
        .is_some_and(|condition| condition.get("status").and_then(Value::as_str) == Some("True"))
}

fn scheduled(pod: &Value) -> Option<Timestamp> {
    let condition = condition(pod, "PodScheduled")?;
    let holds = condition.get("status").and_then(Value::as_str) == Some("True");
    condition.get("lastTransitionTime").filter(|_| holds)?.as_str()?.parse().ok()
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_change_is_given_up_by_the_rule_only() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pods/cases.json");
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in &cases {
            let pods = case["pods"].as_array().unwrap();
            let told = |trouble: Option<Trouble>| trouble.map(|trouble| trouble.summary);
            assert_eq!(told(hopeless(pods, now)).as_deref(), case["hopeless"].as_str(), "{}", case["case"]);
            assert_eq!(told(worst(pods, now)).as_deref(), case["worst"].as_str(), "{}", case["case"]);
        }
        assert!(cases.len() > 15);
    }

    #[test]
    fn trouble_has_facts_a_log_and_a_next_step() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let pod = serde_json::json!({"metadata": {"name": "web-1"}, "status": {"containerStatuses": [{"name": "web",
            "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}});
        let trouble = hopeless(&[pod], now).unwrap();
        let names: Vec<&str> = trouble.facts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["exit", "out of memory", "restarts"]);
        assert_eq!((trouble.pod.as_str(), trouble.previous_log), ("web-1", Some(true)));
        assert_eq!(trouble.hint.as_deref(), Some("raise its memory limit or make it use less"));
    }
}
