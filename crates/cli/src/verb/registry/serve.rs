//! `minato registry serve`: a registry of one's own, until Ctrl-C.

use std::time::Duration;

use minato_registry::Mirror;
use minato_registry::server::{
    AccessOptions, Configuration, Log, Options, Server, TlsFiles, Upkeep, Upstreams,
};
use tokio::signal::unix::{SignalKind, signal};

use super::rules;
use crate::arguments::{AccessArguments, ServeArguments, TlsArguments};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer};

pub async fn run(machine: &Machine, printer: &Printer, arguments: &ServeArguments) -> Result<(), Failure> {
    let options = options(machine, printer, arguments)?;
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let server = Server::bind(arguments.listen, options).await?;
    // The one line that says where, for people and for programs that asked for any port.
    print::to_stdout(&format!("{scheme}://{}\n", server.address()))?;
    let mut terminated = signal(SignalKind::terminate())?;
    let end = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
    };
    server.run(end).await;
    Ok(())
}

fn options(machine: &Machine, printer: &Printer, arguments: &ServeArguments) -> Result<Options, Failure> {
    let folder = arguments.data.clone().unwrap_or_else(|| machine.data().join("registry"));
    let rules = arguments.config.as_deref().map(rules::read).transpose()?.unwrap_or_default();
    let (log, warnings) = (printer.clone(), printer.clone());
    let upkeep = Upkeep {
        every: Duration::from_secs(arguments.collect_every.max(1)),
        keep_blobs_for: Duration::from_secs(arguments.collect_after),
        ..Upkeep::default()
    };
    if arguments.insecure_listen && !arguments.listen.ip().is_loopback() {
        warnings.warning("other machines reach this registry, and users or TLS are missing");
    }
    Ok(Options {
        access: access(&arguments.access, &rules),
        tls: tls(&arguments.tls),
        insecure: arguments.insecure_listen,
        upstreams: upstreams(machine, &arguments.upstream)?,
        immutable_tags: [arguments.immutable_tag.clone(), rules.immutable_tags].concat(),
        retention: rules.retention,
        upkeep,
        log: Log::new(move |line| log.line(line)),
        ..Options::new(&folder)
    })
}

fn access(arguments: &AccessArguments, rules: &Configuration) -> AccessOptions {
    AccessOptions {
        htpasswd: arguments.htpasswd.clone(),
        rules: rules.access.clone(),
        anonymous_pull: arguments.anonymous_pull,
        tokens: arguments.tokens,
        issuer: rules.issuer.clone(),
    }
}

/// Other registries are asked with the credentials and certificates that this machine has for them.
fn upstreams(machine: &Machine, registries: &[Mirror]) -> anyhow::Result<Option<Upstreams>> {
    if registries.is_empty() {
        return Ok(None);
    }
    Ok(Some(Upstreams { client: machine.registry_client()?, registries: registries.to_vec() }))
}

fn tls(arguments: &TlsArguments) -> Option<TlsFiles> {
    let (certificate, key) = arguments.tls_cert.clone().zip(arguments.tls_key.clone())?;
    Some(TlsFiles { certificate, key })
}
