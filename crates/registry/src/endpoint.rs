//! Where a registry's images can be had, in the order in which the places are asked.

use std::net::IpAddr;

use minato_oci::Reference;
use reqwest::Url;

use crate::Mirror;

const DOCKER_HUB: &str = "docker.io";
/// Docker Hub serves its registry under another name than references give it.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// A place that has a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Endpoint {
    /// Below it is `/v2/`.
    pub(crate) base: Url,
    /// The name under which credentials for it are kept.
    pub(crate) account: String,
    /// Whether it stands in for the registry.
    pub(crate) is_mirror: bool,
}

/// The places for `reference`: its mirrors, then the registry itself. Plain HTTP only where it was asked for or can't
/// leave this machine; a registry on this machine that wants TLS is named as its own mirror.
pub(crate) fn endpoints(reference: &Reference, mirrors: &[Mirror], plain_http: &[String]) -> Vec<Endpoint> {
    let registry = reference.registry();
    let own_mirrors = mirrors.iter().filter(|mirror| mirror.registry() == registry);
    let mut endpoints: Vec<Endpoint> = own_mirrors
        .map(|mirror| Endpoint {
            base: mirror.base().clone(),
            account: authority(mirror.base()),
            is_mirror: true,
        })
        .collect();
    let host = if registry == DOCKER_HUB { DOCKER_HUB_HOST } else { registry };
    let is_plain = plain_http.iter().any(|plain| plain == registry) || is_loopback_name(registry);
    let scheme = if is_plain { "http" } else { "https" };
    let base = Url::parse(&format!("{scheme}://{host}")).ok();
    endpoints.extend(base.map(|base| Endpoint { base, account: registry.to_owned(), is_mirror: false }));
    endpoints
}

/// Where `reference` is written: the registry itself, over TLS on this machine too where a mirror of its own name says
/// so.
pub(crate) fn origin(reference: &Reference, mirrors: &[Mirror], plain_http: &[String]) -> Option<Endpoint> {
    let mut endpoints = endpoints(reference, mirrors, plain_http);
    let registry = endpoints.pop().filter(|endpoint| !endpoint.is_mirror)?;
    let of_own_name = |mirror: &Endpoint| mirror.account == reference.registry();
    let own = endpoints.into_iter().find(of_own_name);
    Some(own.map_or(registry, |own| Endpoint { is_mirror: false, ..own }))
}

impl Endpoint {
    /// The URL of `path` in the repository.
    pub(crate) fn url(&self, repository: &str, path: &str) -> Url {
        self.registry_url(&format!("{repository}/{path}"))
    }

    /// The URL of `path` in the registry.
    pub(crate) fn registry_url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v2/{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

/// Host and, where it is not the scheme's own, port.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether the URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

fn is_loopback_name(registry: &str) -> bool {
    Url::parse(&format!("http://{registry}")).is_ok_and(|url| is_loopback(&url))
}

fn is_loopback_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(reference: &str, mirrors: &[&str], plain_http: &[&str]) -> Vec<String> {
        let mirrors: Vec<Mirror> = mirrors.iter().map(|mirror| mirror.parse().unwrap()).collect();
        let plain: Vec<String> = plain_http.iter().map(ToString::to_string).collect();
        let reference: Reference = reference.parse().unwrap();
        let endpoints = endpoints(&reference, &mirrors, &plain);
        endpoints.iter().map(|e| e.url(reference.repository(), "tags/list").to_string()).collect()
    }

    #[test]
    fn mirrors_come_before_the_registry_and_http_only_where_asked() {
        assert_eq!(urls("redis", &[], &[]), ["https://registry-1.docker.io/v2/library/redis/tags/list"]);
        assert_eq!(
            urls("redis", &["docker.io=http://127.0.0.1:5000", "ghcr.io=http://other"], &[]),
            [
                "http://127.0.0.1:5000/v2/library/redis/tags/list",
                "https://registry-1.docker.io/v2/library/redis/tags/list"
            ]
        );
        assert_eq!(
            urls("ghcr.io/a/b", &["ghcr.io=https://mirror/ghcr"], &[]),
            ["https://mirror/ghcr/v2/a/b/tags/list", "https://ghcr.io/v2/a/b/tags/list"]
        );
        assert_eq!(
            urls("plain.example:80/a", &[], &["plain.example:80"]),
            ["http://plain.example/v2/a/tags/list"]
        );
        for local in ["localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert_eq!(urls(&format!("{local}/a"), &[], &[]), [format!("http://{local}/v2/a/tags/list")]);
        }
        assert_eq!(
            urls("127.0.0.1.example.com/a", &[], &[]),
            ["https://127.0.0.1.example.com/v2/a/tags/list"]
        );
    }
}
