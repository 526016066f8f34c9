//! Ports of a container.

use crate::fields::Fields;

/// A port mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// Name, by which Service Connect refers to it.
    pub name: Option<String>,
    /// The port that the program listens on; absent for a range.
    pub container_port: Option<u16>,
    /// `FIRST-LAST`, instead of one port.
    pub container_port_range: Option<String>,
    /// The machine's port under `bridge`; 0 or absent: any.
    pub host_port: Option<u16>,
    /// TCP unless said.
    pub protocol: Protocol,
    /// What is spoken, for Service Connect.
    pub application_protocol: Option<ApplicationProtocol>,
}

/// `protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// `appProtocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationProtocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2.
    Http2,
    /// gRPC, which is HTTP/2.
    Grpc,
}

impl PortMapping {
    pub(crate) fn read(fields: &Fields<'_>) -> PortMapping {
        let protocols = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
        let spoken = [
            ("http", ApplicationProtocol::Http),
            ("http2", ApplicationProtocol::Http2),
            ("grpc", ApplicationProtocol::Grpc),
        ];
        let mapping = PortMapping {
            name: fields.text("name"),
            container_port: fields.integer("containerPort"),
            container_port_range: fields.text("containerPortRange"),
            host_port: fields.integer("hostPort"),
            protocol: fields.word("protocol", &protocols).unwrap_or(Protocol::Tcp),
            application_protocol: fields.word("appProtocol", &spoken),
        };
        if !fields.has("containerPort") && mapping.container_port_range.is_none() {
            fields.error(
                "ecs-missing",
                "containerPort",
                "the port mapping has no `containerPort`".to_owned(),
            );
        }
        mapping
    }
}
