//! Probes and lifecycle hooks.

use minato_sync::field::Field;
use minato_workload::spec::{ContainerPort, Hook, Probe, ProbeAction, ProbeScheme};
use serde_json::Value;

/// Reads a probe; `None` when it is not written or has errors.
pub(super) fn probe(field: &Field, ports: &[ContainerPort]) -> Option<Probe> {
    if !field.is_present() {
        return None;
    }
    field.warn_unknown(PROBE_FIELDS, "not-enforced", "is not acted on");
    let default = Probe::default();
    let at_least_one = |name: &str, otherwise: u32| {
        let count = field.get(name).count().unwrap_or(otherwise);
        if count == 0 {
            field.get(name).error("wrong-value", format!("`{name}` must be at least 1"));
        }
        count.max(1)
    };
    let timing = Probe {
        action: ProbeAction::None,
        initial_delay_seconds: field.get("initialDelaySeconds").count().unwrap_or(0),
        period_seconds: at_least_one("periodSeconds", default.period_seconds),
        timeout_seconds: at_least_one("timeoutSeconds", default.timeout_seconds),
        failure_threshold: at_least_one("failureThreshold", default.failure_threshold),
        success_threshold: at_least_one("successThreshold", default.success_threshold),
    };
    Some(Probe { action: action(field, ports)?, ..timing })
}

const PROBE_FIELDS: &[&str] = &[
    "httpGet",
    "tcpSocket",
    "exec",
    "grpc",
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "failureThreshold",
    "successThreshold",
    "terminationGracePeriodSeconds",
];

/// Reads a lifecycle hook.
pub(super) fn hook(field: &Field, ports: &[ContainerPort]) -> Option<Hook> {
    if !field.is_present() {
        return None;
    }
    let sleep = field.get("sleep");
    if sleep.is_present() {
        let sleep_seconds = sleep.get("seconds").count().unwrap_or(0);
        return Some(Hook { action: ProbeAction::None, sleep_seconds });
    }
    Some(Hook { action: action(field, ports)?, sleep_seconds: 0 })
}

fn action(field: &Field, ports: &[ContainerPort]) -> Option<ProbeAction> {
    let (http, tcp, exec) = (field.get("httpGet"), field.get("tcpSocket"), field.get("exec"));
    let grpc = field.get("grpc");
    if grpc.is_present() {
        let hint = "use httpGet, tcpSocket, or exec with grpc_health_probe";
        grpc.error_with_hint("grpc-probe", "gRPC probes can't be asked on this machine yet", hint);
        return None;
    }
    let written = [&http, &tcp, &exec].iter().filter(|action| action.is_present()).count();
    if written != 1 {
        let message = format!("`{}` must have one of httpGet, tcpSocket and exec", field.name());
        field.error("probe-action", message);
        return None;
    }
    if exec.is_present() {
        let argv = exec.get("command").texts();
        if argv.is_empty() {
            exec.error("probe-action", "the command is empty");
        }
        return Some(ProbeAction::Exec { argv });
    }
    if tcp.is_present() {
        return Some(ProbeAction::Tcp { port: port(&tcp.get("port"), ports)? });
    }
    http_action(&http, ports)
}

fn http_action(http: &Field, ports: &[ContainerPort]) -> Option<ProbeAction> {
    let scheme = http.get("scheme");
    let scheme = match scheme.text().map(str::to_ascii_uppercase).as_deref() {
        None | Some("HTTP") => ProbeScheme::Http,
        Some("HTTPS") => ProbeScheme::Https,
        Some(_) => {
            scheme.error("wrong-value", "`scheme` must be HTTP or HTTPS");
            return None;
        }
    };
    let header = |header: &Field| {
        Some((header.get("name").required_text()?.to_owned(), header.get("value").text()?.to_owned()))
    };
    let path = http.get("path").text().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(ProbeAction::Http {
        path: format!("{slash}{path}"),
        port: port(&http.get("port"), ports)?,
        host: http.get("host").text().map(str::to_owned),
        headers: http.get("httpHeaders").items().iter().filter_map(header).collect(),
        scheme,
    })
}

/// A port by number or by the name of one of the container's ports.
fn port(field: &Field, ports: &[ContainerPort]) -> Option<u16> {
    let found = match field.value() {
        None => {
            field.error("missing-field", format!("`{}` is missing", field.name()));
            return None;
        }
        Some(Value::Number(number)) => {
            number.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0)
        }
        Some(Value::String(text)) => {
            let named = ports.iter().find(|port| port.name == *text).map(|port| port.port);
            named.or_else(|| text.parse().ok())
        }
        Some(_) => None,
    };
    if found.is_none() {
        let names: Vec<&str> =
            ports.iter().map(|port| port.name.as_str()).filter(|name| !name.is_empty()).collect();
        let names = if names.is_empty() { "no named port".to_owned() } else { names.join(", ") };
        field.error("probe-port", format!("this is no port of the container, which has {names}"));
    }
    found
}
