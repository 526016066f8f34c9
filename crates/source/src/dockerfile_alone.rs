//! A Dockerfile and nothing else: the Objects that run its image.

use std::time::Duration;

use minato_oci::{ContainerConfig, Healthcheck};
use minato_resource::{Object, ObjectError};
use minato_sync::ApplicationName;
use serde_json::{Value, json};

/// How often a program that has not been well yet is asked, when HEALTHCHECK does not say: a user waits for it.
const START_INTERVAL: Duration = Duration::from_secs(1);

/// Docker's defaults for what HEALTHCHECK does not say.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;

/// One replica of the image as a Deployment, and a Service when the image exposes a port. EXPOSE is the port,
/// HEALTHCHECK the gate; without one, a container is ready once its first TCP port accepts a connection.
///
/// # Errors
/// Never: the Objects are made here, with names.
pub fn dockerfile_alone(
    name: &ApplicationName,
    image: &str,
    config: &ContainerConfig,
) -> Result<Vec<Object>, ObjectError> {
    let ports: Vec<Port> = config.exposed_ports.iter().filter_map(|text| Port::parse(text)).collect();
    let mut container = json!({"name": "main", "image": image});
    if !ports.is_empty() {
        container["ports"] = ports.iter().map(Port::container_port).collect();
    }
    let check = config.healthcheck.as_ref();
    if let Some(probe) = gate(check, &ports) {
        container["readinessProbe"] = probe;
    }
    if let Some(probe) = check.and_then(startup) {
        container["startupProbe"] = probe;
    }
    let labels = json!({"app.kubernetes.io/name": name.as_str()});
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name.as_str(), "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name.as_str(), "labels": labels},
        "spec": {"selector": labels, "ports": ports.iter().map(Port::service_port).collect::<Value>()},
    });
    let objects = if ports.is_empty() { vec![deployment] } else { vec![deployment, service] };
    objects.into_iter().map(Object::from_value).collect()
}

/// An entry of EXPOSE: `8080/tcp`.
#[derive(Debug, PartialEq)]
struct Port {
    number: u16,
    protocol: &'static str,
}

impl Port {
    fn parse(text: &str) -> Option<Port> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => "TCP",
            "udp" => "UDP",
            _ => return None,
        };
        number.parse().ok().filter(|number| *number > 0).map(|number| Port { number, protocol })
    }

    fn name(&self) -> String {
        format!("{}-{}", self.protocol.to_lowercase(), self.number)
    }

    fn container_port(&self) -> Value {
        json!({"name": self.name(), "containerPort": self.number, "protocol": self.protocol})
    }

    fn service_port(&self) -> Value {
        json!({"name": self.name(), "port": self.number, "targetPort": self.number, "protocol": self.protocol})
    }
}

fn gate(check: Option<&Healthcheck>, ports: &[Port]) -> Option<Value> {
    match check.and_then(|check| Some((check, command(&check.test)?))) {
        Some((check, command)) => Some(probe(check, &command)),
        None if check.is_some_and(|check| check.test.first().is_some_and(|word| word == "NONE")) => None,
        None => {
            let port = ports.iter().find(|port| port.protocol == "TCP")?;
            Some(json!({"tcpSocket": {"port": port.number}, "periodSeconds": 1, "failureThreshold": RETRIES}))
        }
    }
}

/// The words of a check as a command; `None` when there is none.
fn command(test: &[String]) -> Option<Vec<String>> {
    match test.split_first()? {
        (word, rest) if word == "CMD" && !rest.is_empty() => Some(rest.to_vec()),
        (word, [line]) if word == "CMD-SHELL" => {
            Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()])
        }
        _ => None,
    }
}

fn probe(check: &Healthcheck, command: &[String]) -> Value {
    json!({
        "exec": {"command": command},
        "periodSeconds": seconds(check.interval, INTERVAL),
        "timeoutSeconds": seconds(check.timeout, TIMEOUT),
        "failureThreshold": retries(check),
    })
}

/// The same check, asked often until it passes once; it has failed when Docker would call the container unhealthy.
fn startup(check: &Healthcheck) -> Option<Value> {
    let command = command(&check.test)?;
    let period = seconds(check.start_interval, START_INTERVAL);
    let checks = seconds(check.interval, INTERVAL).saturating_mul(u64::from(retries(check)));
    let patience = check.start_period.unwrap_or_default().as_secs().saturating_add(checks);
    Some(json!({
        "exec": {"command": command},
        "periodSeconds": period,
        "timeoutSeconds": seconds(check.timeout, TIMEOUT),
        // A number of 32 bits on Kubernetes.
        "failureThreshold": patience.div_ceil(period).min(i32::MAX as u64),
    }))
}

/// Whole seconds, at least one; Docker takes 0 for "not said".
fn seconds(time: Option<Duration>, default: Duration) -> u64 {
    time.filter(|time| !time.is_zero()).unwrap_or(default).as_secs_f64().ceil() as u64
}

fn retries(check: &Healthcheck) -> u32 {
    check.retries.filter(|retries| *retries > 0).unwrap_or(RETRIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(config: &ContainerConfig) -> Vec<Object> {
        dockerfile_alone(&"web-1".parse().unwrap(), "web:abc", config).unwrap()
    }

    fn config(ports: &[&str], test: &[&str]) -> ContainerConfig {
        let test = test.iter().map(|word| (*word).to_owned()).collect();
        ContainerConfig {
            exposed_ports: ports.iter().map(|port| (*port).to_owned()).collect(),
            healthcheck: Some(Healthcheck {
                test,
                interval: Some(Duration::from_millis(1500)),
                ..Healthcheck::default()
            }),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn expose_is_the_port_and_healthcheck_the_gate() {
        let [deployment, service] = &objects(&config(&["8080/tcp", "53/udp"], &["CMD-SHELL", "wget x"]))[..]
        else {
            panic!("two objects")
        };
        let probe = deployment.get("/spec/template/spec/containers/0/readinessProbe");
        let expected = json!({"exec": {"command": ["/bin/sh", "-c", "wget x"]}, "periodSeconds": 2, "timeoutSeconds": 30,
            "failureThreshold": 3});
        assert_eq!(probe, Some(&expected));
        let startup = deployment.get("/spec/template/spec/containers/0/startupProbe");
        let expected = json!({"exec": {"command": ["/bin/sh", "-c", "wget x"]}, "periodSeconds": 1, "timeoutSeconds": 30,
            "failureThreshold": 6});
        assert_eq!(startup, Some(&expected));
        assert_eq!(service.get("/spec/selector"), deployment.get("/spec/template/metadata/labels"));
        assert_eq!(service.get("/spec/ports").and_then(Value::as_array).map(Vec::len), Some(2));
    }

    #[test]
    fn without_a_check_the_first_tcp_port_is_the_gate() {
        let probe = |ports: &[&str], test: &[&str]| {
            objects(&config(ports, test))[0].get("/spec/template/spec/containers/0/readinessProbe").cloned()
        };
        assert_eq!(
            probe(&["53/udp", "80/tcp"], &[]).and_then(|probe| probe.pointer("/tcpSocket/port").cloned()),
            Some(json!(80))
        );
        assert_eq!(probe(&["80/tcp"], &["NONE"]), None);
        assert_eq!(probe(&[], &[]), None);
    }

    #[test]
    fn without_a_port_there_is_no_service() {
        assert_eq!(objects(&ContainerConfig::default()).len(), 1);
    }
}
