//! Headers on their way through, as RFC 9110 section 7.6 asks of an intermediary.

use std::net::IpAddr;

use hyper::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Request, Uri, Version};

/// Headers that belong to one connection only, besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, UPGRADE];
const HOP_BY_HOP_NAMES: [&str; 3] = ["keep-alive", "proxy-connection", "http2-settings"];

/// A request that no intermediary may pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("a request needs exactly one Host")]
    Host,
    #[error("CONNECT is not served here")]
    Connect,
}

/// The protocol a request wants to change to, where it may: not `h2c`, which is answered in HTTP/1.1.
pub(super) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let named = connection_tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(UPGRADE)?;
    (named && !protocol.as_bytes().eq_ignore_ascii_case(b"h2c")).then(|| protocol.clone())
}

/// Makes a client's request one for a replica. Returns the protocol it wants to change to.
pub(super) fn towards_replica<B>(
    request: &mut Request<B>,
    client: IpAddr,
    http2: bool,
) -> Result<Option<HeaderValue>, Refused> {
    if request.method() == hyper::Method::CONNECT {
        return Err(Refused::Connect);
    }
    let host = host_of(request)?;
    let upgrade = if http2 { None } else { upgrade_of(request.headers()) };
    let trailers = accepts_trailers(request.headers());
    let headers = request.headers_mut();
    drop_hop_by_hop(headers);
    // The body is asked for as soon as the replica is connected, which makes hyper answer "100 Continue" itself.
    headers.remove(EXPECT);
    headers.remove(TE);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    forwarded_for(headers, client, host.as_ref());
    address(request, host, http2);
    if !http2 {
        let connection = if upgrade.is_some() { "upgrade" } else { "close" };
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static(connection));
        if let Some(protocol) = &upgrade {
            headers.insert(UPGRADE, protocol.clone());
        }
    }
    Ok(upgrade)
}

/// Makes a replica's answer one for the client.
pub(super) fn towards_client(headers: &mut HeaderMap, upgraded: bool) {
    if !upgraded {
        drop_hop_by_hop(headers);
    }
}

fn host_of<B>(request: &Request<B>) -> Result<Option<HeaderValue>, Refused> {
    let mut given = request.headers().get_all(HOST).iter();
    let host = given.next();
    if given.next().is_some() {
        return Err(Refused::Host);
    }
    match (request.uri().authority(), host) {
        // RFC 9112 section 3.2.2: what the target names wins.
        (Some(authority), _) => {
            HeaderValue::from_str(authority.as_str()).map(Some).map_err(|_| Refused::Host)
        }
        (None, Some(host)) => Ok(Some(host.clone())),
        (None, None) if request.version() == Version::HTTP_10 => Ok(None),
        (None, None) => Err(Refused::Host),
    }
}

fn address<B>(request: &mut Request<B>, host: Option<HeaderValue>, http2: bool) {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let uri = if http2 {
        request.headers_mut().remove(HOST);
        Uri::builder().scheme("http").authority(authority).path_and_query(path).build()
    } else {
        let value = host.clone().unwrap_or_else(|| HeaderValue::from_static("localhost"));
        request.headers_mut().insert(HOST, value);
        Uri::builder().path_and_query(path).build()
    };
    // Both parts were a URI's parts before; a Host that is none leaves the target as it came.
    if let Ok(uri) = uri {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
}

fn forwarded_for(headers: &mut HeaderMap, client: IpAddr, host: Option<&HeaderValue>) {
    let before: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|one| one.to_str().ok()).collect();
    let chain =
        if before.is_empty() { client.to_string() } else { format!("{}, {client}", before.join(", ")) };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert("x-forwarded-for", chain);
    }
    headers.entry("x-forwarded-proto").or_insert(HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.entry("x-forwarded-host").or_insert(host.clone());
    }
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let tokens =
        headers.get_all(TE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tokens.into_iter().any(|token| token.trim().eq_ignore_ascii_case("trailers"))
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = connection_tokens(headers).map(str::to_ascii_lowercase).collect();
    for name in named {
        headers.remove(name.as_str());
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    for name in HOP_BY_HOP_NAMES {
        headers.remove(name);
    }
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    fn pass(lines: &[(&str, &str)]) -> Result<Vec<String>, Refused> {
        let mut request = Request::builder().uri("/a?b");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        towards_replica(&mut request, CLIENT, false)?;
        let mut seen: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        seen.sort();
        Ok(seen)
    }

    #[test]
    fn what_belongs_to_the_connection_stays_there() {
        let seen = pass(&[
            ("host", "a.example"),
            ("connection", "keep-alive, X-Secret"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("x-kept", "1"),
            ("upgrade", "h2c"),
            ("x-forwarded-for", "1.2.3.4"),
        ]);
        let expected = [
            "connection: close",
            "host: a.example",
            "te: trailers",
            "x-forwarded-for: 1.2.3.4, 10.0.0.9",
            "x-forwarded-host: a.example",
            "x-forwarded-proto: http",
            "x-kept: 1",
        ];
        assert_eq!(seen.unwrap(), expected);
    }

    #[test]
    fn a_websocket_keeps_its_upgrade() {
        let seen = pass(&[("host", "a"), ("connection", "Upgrade"), ("upgrade", "websocket")]).unwrap();
        assert!(
            seen.contains(&"connection: upgrade".to_owned())
                && seen.contains(&"upgrade: websocket".to_owned())
        );
    }

    #[test]
    fn ambiguous_requests_are_refused() {
        assert_eq!(pass(&[("host", "a"), ("host", "b")]), Err(Refused::Host));
        assert_eq!(pass(&[]), Err(Refused::Host));
    }
}
