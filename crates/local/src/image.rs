//! A Dockerfile alone: the Objects that its image asks for.

use minato_oci::{ContainerConfig, Healthcheck};
use minato_resource::{Object, ObjectError};
use serde_json::{Value, json};

/// Docker's defaults for a HEALTHCHECK (docs.docker.com, Dockerfile reference).
const INTERVAL_SECONDS: u64 = 30;
const TIMEOUT_SECONDS: u64 = 30;
const RETRIES: u64 = 3;

/// One Deployment of one replica named `name`, with EXPOSE as its ports and HEALTHCHECK as its gate, and a Service
/// when there is a TCP port.
///
/// # Errors
/// `name` is empty.
pub fn objects_of_image(
    name: &str,
    reference: &str,
    config: &ContainerConfig,
) -> Result<Vec<Object>, ObjectError> {
    let ports = tcp_ports(config);
    let container_ports: Vec<Value> = ports.iter().map(|port| json!({"containerPort": port})).collect();
    let mut container = json!({"name": name, "image": reference, "ports": container_ports});
    if let Some([startup, running]) = config.healthcheck.as_ref().and_then(probes) {
        container["startupProbe"] = startup;
        container["readinessProbe"] = running;
    }
    let labels = json!({"app": name});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    let mut objects = vec![Object::from_value(deployment)?];
    if !ports.is_empty() {
        let name_of = |port: &u16| format!("tcp-{port}");
        let service_ports: Vec<Value> =
            ports.iter().map(|port| json!({"name": name_of(port), "port": port})).collect();
        objects.push(Object::from_value(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
            "spec": {"selector": labels, "ports": service_ports},
        }))?);
    }
    Ok(objects)
}

/// `3000`, `3000/tcp`.
fn tcp_ports(config: &ContainerConfig) -> Vec<u16> {
    let tcp = config.exposed_ports.iter().filter_map(|port| match port.split_once('/') {
        None => port.parse().ok(),
        Some((number, "tcp")) => number.parse().ok(),
        Some(_) => None,
    });
    let mut ports: Vec<u16> = tcp.collect();
    ports.sort_unstable();
    ports
}

/// A HEALTHCHECK as (startup probe, readiness probe): asked each second until it passes once, then at its own pace.
fn probes(check: &Healthcheck) -> Option<[Value; 2]> {
    let argv = match check.test.split_first()? {
        (kind, argv) if kind == "CMD" => argv.to_vec(),
        (kind, [line]) if kind == "CMD-SHELL" => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        _ => return None,
    };
    let seconds = |time: Option<std::time::Duration>, otherwise: u64| match time {
        // Docker's own files write 0 for "as usual".
        Some(time) if !time.is_zero() => time.as_secs_f64().ceil() as u64,
        _ => otherwise,
    };
    let interval = seconds(check.interval, INTERVAL_SECONDS);
    let retries = check.retries.filter(|retries| *retries > 0).map_or(RETRIES, u64::from);
    let patience = seconds(check.start_period, 0) + interval * retries;
    let probe = |period: u64, failures: u64| {
        json!({"exec": {"command": argv}, "periodSeconds": period, "failureThreshold": failures,
            "timeoutSeconds": seconds(check.timeout, TIMEOUT_SECONDS)})
    };
    Some([probe(1, patience), probe(interval, retries)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn expose_is_the_port_and_healthcheck_the_gate() {
        let config = ContainerConfig {
            exposed_ports: ["53/udp", "3000/tcp"].map(str::to_owned).into(),
            healthcheck: Some(Healthcheck {
                test: vec!["CMD-SHELL".into(), "wget -q localhost:3000".into()],
                interval: Some(Duration::from_secs(5)),
                timeout: None,
                start_period: Some(Duration::from_millis(1500)),
                retries: Some(2),
                ..Healthcheck::default()
            }),
            ..ContainerConfig::default()
        };
        let objects = objects_of_image("web", "web:1", &config).unwrap();
        let container = objects[0].get("/spec/template/spec/containers/0").unwrap();
        assert_eq!(container["ports"], json!([{"containerPort": 3000}]));
        assert_eq!(container["startupProbe"]["failureThreshold"], 12);
        assert_eq!(container["readinessProbe"]["periodSeconds"], 5);
        assert_eq!(container["readinessProbe"]["exec"]["command"][2], "wget -q localhost:3000");
        assert_eq!(objects[1].get("/spec/ports"), Some(&json!([{"name": "tcp-3000", "port": 3000}])));
    }

    #[test]
    fn an_image_that_says_nothing_is_a_deployment_without_a_service() {
        let objects = objects_of_image("web", "web:1", &ContainerConfig::default()).unwrap();
        assert_eq!(objects.len(), 1);
        assert!(objects[0].get("/spec/template/spec/containers/0/readinessProbe").is_none());
    }
}
