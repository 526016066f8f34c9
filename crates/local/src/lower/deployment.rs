//! Kinds that keep pods: Deployment, StatefulSet, DaemonSet, Job, and a Pod by itself.

use std::collections::BTreeMap;

use minato_sync::field::Field;
use minato_workload::spec::{Restart, Run, Strategy, Volume};
use minato_workload::{Workload, WorkloadKey};

use super::inputs::{Inputs, namespace_of};
use super::int_or_percent::{IntOrPercent, resolve};
use super::pod::{self, Scope};
use super::volume;

/// Annotation: how many seconds the first replica of a new revision must stay ready before it gets traffic.
pub const SOAK_ANNOTATION: &str = "minato.dev/soak-seconds";

/// Kubernetes' default for `progressDeadlineSeconds`.
const PROGRESS_DEADLINE_SECONDS: u32 = 600;

/// Kubernetes' default for a Job's `backoffLimit`.
const BACKOFF_LIMIT: u32 = 6;

pub(super) fn deployment(root: &Field, inputs: &Inputs) -> Option<Workload> {
    let spec = root.get("spec");
    spec.warn_unknown(DEPLOYMENT_FIELDS, "not-enforced", "is not acted on on this machine");
    if spec.get("paused").boolean() == Some(true) {
        spec.get("paused").warning("not-enforced", "`paused` is not acted on; the rollout goes on");
    }
    check_selector(&spec);
    let replicas = spec.get("replicas").count().unwrap_or(1);
    let strategy = strategy(&spec.get("strategy"), replicas);
    let scope = scope(root, &spec.get("template"), inputs, Restart::Always);
    Some(Workload {
        replicas,
        strategy,
        min_ready_seconds: spec.get("minReadySeconds").count().unwrap_or(0),
        progress_deadline_seconds: spec
            .get("progressDeadlineSeconds")
            .count()
            .unwrap_or(PROGRESS_DEADLINE_SECONDS),
        ..workload(root, &scope)
    })
}

/// One replica keeps its name and its claims here; more would need names of their own.
pub(super) fn stateful_set(root: &Field, inputs: &Inputs) -> Option<Workload> {
    let spec = root.get("spec");
    check_selector(&spec);
    let replicas = spec.get("replicas").count().unwrap_or(1);
    if replicas > 1 {
        let message = "a StatefulSet runs here with one replica at most: replicas have no names of their own";
        spec.get("replicas").error_with_hint("not-supported", message, "set `replicas: 1` for this machine");
    }
    let mut scope = scope(root, &spec.get("template"), inputs, Restart::Always);
    scope.claims = claims(root, &spec, &scope);
    let mut workload = Workload { replicas, ..workload(root, &scope) };
    workload.pod.hostname.get_or_insert_with(|| format!("{}-0", root.object().name()));
    Some(workload)
}

/// `volumeClaimTemplates` of the one replica, whose claims Kubernetes calls TEMPLATE-NAME-0.
fn claims(root: &Field, spec: &Field, scope: &Scope) -> Vec<(String, Volume)> {
    let mut claims = Vec::new();
    for template in spec.get("volumeClaimTemplates").items() {
        let name = template.at(&["metadata", "name"]);
        let Some(text) = name.required_text() else { continue };
        let claim = format!("{text}-{}-0", root.object().name());
        let folder = volume::claim_folder(&name, &claim, scope.inputs, scope.namespace);
        claims.extend(folder.map(|volume| (text.to_owned(), volume)));
    }
    claims
}

/// One machine, one pod.
pub(super) fn daemon_set(root: &Field, inputs: &Inputs) -> Option<Workload> {
    let spec = root.get("spec");
    check_selector(&spec);
    let scope = scope(root, &spec.get("template"), inputs, Restart::Always);
    // A DaemonSet takes the old pod down first, unless it says otherwise.
    let rolling = spec.at(&["updateStrategy", "rollingUpdate"]);
    let surge = rolling.get("maxSurge").value().and_then(IntOrPercent::parse);
    let strategy = match surge.map(|surge| resolve(surge, IntOrPercent::Number(0), 1)) {
        Some((max_surge, 0)) => Strategy::Rolling { max_surge, max_unavailable: 0 },
        _ => Strategy::Rolling { max_surge: 0, max_unavailable: 1 },
    };
    let min_ready_seconds = spec.get("minReadySeconds").count().unwrap_or(0);
    Some(Workload { strategy, min_ready_seconds, ..workload(root, &scope) })
}

/// Runs to its end, tried again up to `backoffLimit` times.
pub(super) fn job(root: &Field, inputs: &Inputs) -> Option<Workload> {
    let spec = root.get("spec");
    spec.warn_unknown(JOB_FIELDS, "not-enforced", "is not acted on on this machine");
    for name in ["parallelism", "completions"] {
        if spec.get(name).count().is_some_and(|count| count > 1) {
            spec.get(name).error("not-supported", format!("`{name}` of more than 1 is not supported here"));
        }
    }
    let template = spec.get("template");
    let restart = restart_policy(&template.at(&["spec", "restartPolicy"]))?;
    if restart == Restart::Always {
        let message = "a Job's pod needs `restartPolicy: Never` or `OnFailure`";
        template.get("spec").error("restart-policy", message);
    }
    let scope = scope(root, &template, inputs, restart);
    let attempts = spec.get("backoffLimit").count().unwrap_or(BACKOFF_LIMIT).saturating_add(1);
    let progress_deadline_seconds =
        spec.get("activeDeadlineSeconds").count().unwrap_or(PROGRESS_DEADLINE_SECONDS);
    Some(Workload { run: Run::Once { attempts }, progress_deadline_seconds, ..workload(root, &scope) })
}

pub(super) fn bare_pod(root: &Field, inputs: &Inputs) -> Option<Workload> {
    let restart = restart_policy(&root.at(&["spec", "restartPolicy"]))?;
    let scope = scope(root, root, inputs, restart);
    let run = match restart {
        Restart::Always => Run::Forever,
        Restart::OnFailure | Restart::Never => Run::Once { attempts: 1 },
    };
    let workload = workload(root, &scope);
    // Two pods may not share a folder; otherwise the new one comes up beside the old one.
    let shares = workload.pod.volumes.values().any(|volume| matches!(volume, Volume::Host(_)));
    let strategy =
        if shares { Strategy::Recreate } else { Strategy::Rolling { max_surge: 1, max_unavailable: 0 } };
    Some(Workload { run, strategy, ..workload })
}

/// What all of them share; one replica, replaced by taking the old one down first.
fn workload(root: &Field, scope: &Scope) -> Workload {
    let object = root.object();
    Workload {
        key: WorkloadKey {
            application: scope.inputs.application.to_string(),
            namespace: scope.namespace.to_owned(),
            name: object.name().to_owned(),
        },
        replicas: 1,
        strategy: Strategy::Recreate,
        min_ready_seconds: 0,
        soak_seconds: soak_seconds(root, scope.inputs),
        progress_deadline_seconds: PROGRESS_DEADLINE_SECONDS,
        pod: pod::lower(scope),
        run: Run::Forever,
        annotations: BTreeMap::new(),
    }
}

fn scope<'a>(root: &Field<'a>, template: &Field<'a>, inputs: &'a Inputs<'a>, restart: Restart) -> Scope<'a> {
    Scope {
        inputs,
        namespace: namespace_of(root.object()),
        metadata: template.get("metadata"),
        spec: template.get("spec"),
        restart,
        claims: Vec::new(),
    }
}

pub(super) fn soak_seconds(root: &Field, inputs: &Inputs) -> u32 {
    let field = root.at(&["metadata", "annotations", SOAK_ANNOTATION]);
    let Some(text) = field.text() else { return inputs.options.soak_seconds };
    text.parse().unwrap_or_else(|_| {
        field.error("wrong-value", format!("{text:?} is no number of seconds"));
        inputs.options.soak_seconds
    })
}

fn strategy(field: &Field, replicas: u32) -> Strategy {
    match field.get("type").text() {
        Some("Recreate") => return Strategy::Recreate,
        None | Some("RollingUpdate") => {}
        Some(_) => field.get("type").error("wrong-value", "`type` must be RollingUpdate or Recreate"),
    }
    let rolling = field.get("rollingUpdate");
    let part = |name: &str| {
        let field = rolling.get(name);
        let Some(value) = field.value() else { return IntOrPercent::Percent(25) };
        IntOrPercent::parse(value).unwrap_or_else(|| {
            field.error("wrong-value", format!("`{name}` must be a number or a percentage such as 25%"));
            IntOrPercent::Percent(25)
        })
    };
    let unavailable = part("maxUnavailable");
    if matches!(unavailable, IntOrPercent::Percent(percent) if percent > 100) {
        rolling.get("maxUnavailable").error("wrong-value", "`maxUnavailable` is at most 100%");
    }
    let (max_surge, max_unavailable) = resolve(part("maxSurge"), unavailable, replicas);
    Strategy::Rolling { max_surge, max_unavailable }
}

/// The API server refuses a selector that does not match the template.
fn check_selector(spec: &Field) {
    let selector = spec.at(&["selector", "matchLabels"]);
    let labels = pod::labels(&spec.at(&["template", "metadata"]));
    for (key, value) in selector.entries() {
        let wanted = value.text().unwrap_or_default();
        if labels.get(key).map(String::as_str) != Some(wanted) {
            let message =
                format!("the selector asks for label {key}={wanted}, which the pod template does not have");
            value.error("selector", message);
        }
    }
}

fn restart_policy(field: &Field) -> Option<Restart> {
    match field.text() {
        None | Some("Always") => Some(Restart::Always),
        Some("OnFailure") => Some(Restart::OnFailure),
        Some("Never") => Some(Restart::Never),
        Some(_) => {
            field.error("wrong-value", "`restartPolicy` must be Always, OnFailure or Never");
            None
        }
    }
}

const DEPLOYMENT_FIELDS: &[&str] = &[
    "replicas",
    "selector",
    "template",
    "strategy",
    "minReadySeconds",
    "progressDeadlineSeconds",
    "revisionHistoryLimit",
    "paused",
];

const JOB_FIELDS: &[&str] = &[
    "template",
    "backoffLimit",
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
    "completionMode",
    "selector",
    "manualSelector",
    "suspend",
];
