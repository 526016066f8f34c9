//! A Kubernetes Service: a name and ports in front of the replicas that its selector takes.

use std::collections::BTreeMap;

use minato_sync::field::Field;
use minato_workload::spec::{
    ApplicationProtocol, PortProtocol, Publish, Service, ServiceKey, ServicePort, TargetPort,
};
use serde_json::Value;

use super::inputs::{Inputs, namespace_of};

/// Ports below this one need privileges on the machine, and surprise there.
pub(super) const FIRST_FREE_PORT: u16 = 1024;

/// Lowers a Service; `None` when it serves nothing here (said in a warning) or has errors.
pub(super) fn lower(root: &Field, inputs: &Inputs) -> Option<Service> {
    let spec = root.get("spec");
    spec.warn_unknown(KNOWN, "not-enforced", "is not acted on on this machine");
    if spec.get("type").text() == Some("ExternalName") {
        spec.get("type").warning("left-out", "an ExternalName Service has no effect on this machine");
        return None;
    }
    if spec.get("sessionAffinity").text().is_some_and(|affinity| affinity != "None") {
        spec.get("sessionAffinity")
            .warning("not-enforced", "requests of one client may reach any replica here");
    }
    let entries = spec.get("selector").entries();
    let selector: BTreeMap<String, String> = entries
        .iter()
        .filter_map(|(key, value)| Some(((*key).to_owned(), value.text()?.to_owned())))
        .collect();
    if selector.is_empty() {
        let message = "a Service without a selector has no effect on this machine: nobody gives it endpoints";
        root.get("kind").warning("left-out", message);
        return None;
    }
    let fields = spec.get("ports").items();
    let ports: Vec<ServicePort> = fields.iter().filter_map(port).collect();
    if ports.is_empty() && !root.findings().has_errors() {
        spec.get("ports")
            .warning("left-out", "the Service has no TCP port, so it has no effect on this machine");
    }
    if ports.is_empty() {
        return None;
    }
    let object = root.object();
    Some(Service {
        key: ServiceKey {
            application: inputs.application.to_string(),
            namespace: namespace_of(object).to_owned(),
            name: object.name().to_owned(),
        },
        selector,
        publish: Publish::Yes { preferred: preferred(fields.first(), &ports) },
        ports,
        annotations: BTreeMap::new(),
    })
}

/// The host port to try for the first port: its node port, or its own number where that needs no privileges.
fn preferred(first: Option<&Field>, ports: &[ServicePort]) -> Option<u16> {
    let node_port = first.and_then(|field| port_number(&field.get("nodePort")));
    node_port.or_else(|| ports.first().map(|port| port.port)).filter(|port| *port >= FIRST_FREE_PORT)
}

fn port(field: &Field) -> Option<ServicePort> {
    let protocol = field.get("protocol");
    if protocol.text().is_some_and(|protocol| protocol != "TCP") {
        protocol.warning("left-out", "only TCP is carried on this machine; this port has no effect");
        return None;
    }
    let number = port_number(&field.get("port"));
    if number.is_none() {
        field.error("wrong-value", "`port` must be a port, 1 to 65535");
    }
    let number = number?;
    Some(ServicePort {
        name: field.get("name").text().unwrap_or_default().to_owned(),
        port: number,
        target: target(&field.get("targetPort"), number)?,
        protocol: PortProtocol::Tcp,
        application: application(field.get("appProtocol").text()),
    })
}

fn port_number(field: &Field) -> Option<u16> {
    field.integer().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

/// A number, a number as text, the name of a container's port, or the port itself.
fn target(field: &Field, port: u16) -> Option<TargetPort> {
    match field.value() {
        None => Some(TargetPort::Number(port)),
        Some(Value::String(text)) if !text.is_empty() => match text.parse() {
            Ok(number) => Some(TargetPort::Number(number)),
            Err(_) => Some(TargetPort::Name(text.clone())),
        },
        Some(_) => {
            let number = port_number(field);
            if number.is_none() {
                field.error("wrong-value", "`targetPort` must be a port or the name of a container's port");
            }
            number.map(TargetPort::Number)
        }
    }
}

/// What is spoken where it is said; else the proxy finds out.
fn application(protocol: Option<&str>) -> Option<ApplicationProtocol> {
    match protocol?.to_ascii_lowercase().as_str() {
        "http" | "kubernetes.io/ws" => Some(ApplicationProtocol::Http),
        "kubernetes.io/h2c" | "h2c" | "grpc" | "http2" => Some(ApplicationProtocol::H2c),
        "tcp" | "https" | "tls" | "kubernetes.io/wss" => Some(ApplicationProtocol::Tcp),
        _ => None,
    }
}

/// Acted on, or about addresses that this machine gives itself.
const KNOWN: &[&str] = &[
    "type",
    "selector",
    "ports",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "sessionAffinity",
    "publishNotReadyAddresses",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "allocateLoadBalancerNodePorts",
];
