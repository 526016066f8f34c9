//! `spec.destination`: which engine, and where it is.

use std::fmt;

use crate::field::Field;

/// The engine that an Application runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `server: https://…`, or `name:` of a kubeconfig context.
    Kubernetes(Cluster),
    /// `server: ecs://REGION/CLUSTER`.
    Ecs {
        /// AWS region: `eu-central-1`.
        region: String,
        /// Cluster name.
        cluster: String,
    },
    /// `server: local://`: this machine.
    Local,
}

/// How a Kubernetes cluster is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cluster {
    /// By the address of its API server.
    Server(String),
    /// By a context of the kubeconfig.
    Context(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(Cluster::Server(server)) => formatter.write_str(server),
            Self::Kubernetes(Cluster::Context(context)) => write!(formatter, "context {context}"),
            Self::Ecs { region, cluster } => write!(formatter, "ecs://{region}/{cluster}"),
            Self::Local => formatter.write_str("local://"),
        }
    }
}

/// Reads `server` or `name`; exactly one of them must be there, as in Argo CD.
pub(super) fn read(field: &Field) -> Option<Destination> {
    field.warn_unknown(&["server", "name", "namespace"], "application-field", "is not acted on");
    let (server, name) = (field.get("server"), field.get("name"));
    match (server.text(), name.text()) {
        (Some(_), Some(_)) => {
            name.error("destination", "a destination has either `server` or `name`, not both");
            None
        }
        (None, Some(context)) => Some(Destination::Kubernetes(Cluster::Context(context.to_owned()))),
        (Some(text), None) => {
            let destination = from_server(text);
            if destination.is_none() {
                server.error_with_hint("destination", format!("{text:?} names no engine"), FORMS);
            }
            destination
        }
        (None, None) => {
            field.error_with_hint("destination", "the destination has no `server` and no `name`", FORMS);
            None
        }
    }
}

const FORMS: &str = "write https://HOST (a Kubernetes API server), ecs://REGION/CLUSTER, or local://";

fn from_server(text: &str) -> Option<Destination> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme {
        "https" | "http" if !rest.is_empty() => {
            Some(Destination::Kubernetes(Cluster::Server(text.to_owned())))
        }
        "ecs" => {
            let (region, cluster) = rest.split_once('/')?;
            let plain = |part: &str| {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                !part.is_empty() && part.bytes().all(allowed)
            };
            let (region, cluster) = (region.to_owned(), cluster.to_owned());
            (plain(&region) && plain(&cluster)).then_some(Destination::Ecs { region, cluster })
        }
        "local" if rest.is_empty() => Some(Destination::Local),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_chooses_the_engine() {
        let check = |text: &str, expected: Option<&str>| {
            let read = from_server(text).map(|destination| destination.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("https://kubernetes.default.svc", Some("https://kubernetes.default.svc"));
        check("ecs://eu-central-1/shop", Some("ecs://eu-central-1/shop"));
        check("local://", Some("local://"));
        for wrong in [
            "",
            "local",
            "local://x",
            "https://",
            "ecs://eu-central-1",
            "ecs:///shop",
            "ecs://a/b/c",
            "ftp://x",
        ] {
            check(wrong, None);
        }
    }
}
