//! `--add-host`, `--shm-size`, `--ulimit`, `--network`, `--allow`: what RUN steps have around them.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, anyhow, bail};
use minato_build::{Request, StepNetwork, Surroundings};
use minato_runtime::Rlimit;

use crate::arguments::{BuildInputArguments, BuildNetwork};

/// The kernel's names of limits, without `RLIMIT_`.
const LIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Writes what the command line says into a request.
pub fn apply(arguments: &BuildInputArguments, request: &mut Request) -> anyhow::Result<()> {
    request.network = match arguments.network {
        BuildNetwork::Default | BuildNetwork::Host => StepNetwork::Host,
        BuildNetwork::None => StepNetwork::None,
    };
    request.surroundings = Surroundings {
        hosts: arguments.add_host.iter().map(|text| host(text)).collect::<anyhow::Result<_>>()?,
        shm_bytes: arguments.shm_size.as_deref().map(size).transpose()?,
        limits: arguments.ulimit.iter().map(|text| limit(text)).collect::<anyhow::Result<_>>()?,
    };
    for allowed in &arguments.allow {
        match allowed.as_str() {
            "security.insecure" => request.allow_insecure = true,
            // RUN steps use it anyway.
            "network.host" => {}
            other => bail!("--allow {other}: known are security.insecure and network.host"),
        }
    }
    Ok(())
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, where an address of version 6 may stand in brackets.
fn host(text: &str) -> anyhow::Result<(String, IpAddr)> {
    let malformed = || anyhow!("--add-host {text}: expected NAME:ADDRESS");
    let (name, address) = text.split_once(['=', ':']).ok_or_else(malformed)?;
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    // Steps share this machine's network, so that it is at their own loopback address.
    let address = match address {
        "host-gateway" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        address => address.trim_start_matches('[').trim_end_matches(']').parse(),
    };
    match address {
        Ok(address) if is_name => Ok((name.to_owned(), address)),
        _ => Err(malformed()),
    }
}

/// Bytes; `k`, `m` and `g` are powers of 1024.
fn size(text: &str) -> anyhow::Result<u64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (number, shift) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 10),
        Some(b'm') => (&lower[..lower.len() - 1], 20),
        Some(b'g') => (&lower[..lower.len() - 1], 30),
        _ => (lower, 0),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| anyhow!("--shm-size {text}: expected a size, 64m for example"))
}

/// `NAME=SOFT[:HARD]`; -1 is no limit.
fn limit(text: &str) -> anyhow::Result<Rlimit> {
    let parse = || -> anyhow::Result<Rlimit> {
        let (name, values) = text.split_once('=').ok_or_else(|| anyhow!("expected NAME=SOFT[:HARD]"))?;
        if !LIMITS.contains(&name) {
            bail!("unknown limit; known are {}", LIMITS.join(", "));
        }
        let number = |text: &str| match text {
            "-1" | "unlimited" => Ok(u64::MAX),
            text => text.parse::<u64>().with_context(|| format!("{text:?} is no number")),
        };
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (number(soft)?, number(hard)?);
        if soft > hard {
            bail!("the soft limit is above the hard one");
        }
        Ok(Rlimit { name: format!("RLIMIT_{}", name.to_ascii_uppercase()), soft, hard })
    };
    parse().with_context(|| format!("--ulimit {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_sizes_and_limits_are_read_once() {
        assert_eq!(host("db:10.0.0.1").unwrap(), ("db".to_owned(), [10, 0, 0, 1].into()));
        assert_eq!(host("db=[::1]").unwrap().1.to_string(), "::1");
        assert_eq!(host("me:host-gateway").unwrap().1.to_string(), "127.0.0.1");
        assert_eq!(
            ["1024", "64m", "2G", "1kb"].map(|text| size(text).unwrap()),
            [1024, 64 << 20, 2 << 30, 1024]
        );
        let open = limit("nofile=1024:2048").unwrap();
        assert_eq!((open.name.as_str(), open.soft, open.hard), ("RLIMIT_NOFILE", 1024, 2048));
        assert_eq!(limit("core=-1").unwrap().hard, u64::MAX);
    }

    #[test]
    fn what_means_nothing_is_said() {
        for text in ["db", "db:nowhere", ":10.0.0.1", "a b:10.0.0.1", "a\n:10.0.0.1"] {
            assert!(host(text).is_err(), "{text}");
        }
        for text in ["", "0", "m", "-1", "99999999999g"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["nofile", "nofile=x", "nofile=2:1", "what=1"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }
}
