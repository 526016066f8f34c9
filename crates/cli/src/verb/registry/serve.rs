//! `minato registry serve`: a registry of one's own, until Ctrl-C.

use minato_registry::server::{AccessOptions, Log, Options, Server, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{AccessArguments, ServeArguments, TlsArguments};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer};

pub async fn run(machine: &Machine, printer: &Printer, arguments: &ServeArguments) -> Result<(), Failure> {
    let options = options(machine, printer, arguments);
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

fn options(machine: &Machine, printer: &Printer, arguments: &ServeArguments) -> Options {
    let folder = arguments.data.clone().unwrap_or_else(|| machine.data().join("registry"));
    let log = printer.clone();
    Options {
        access: access(&arguments.access),
        tls: tls(&arguments.tls),
        insecure: arguments.insecure_listen,
        log: Log::new(move |line| log.line(line)),
        ..Options::new(&folder)
    }
}

fn access(arguments: &AccessArguments) -> AccessOptions {
    AccessOptions {
        htpasswd: arguments.htpasswd.clone(),
        anonymous_pull: arguments.anonymous_pull,
        tokens: arguments.tokens,
        ..AccessOptions::default()
    }
}

fn tls(arguments: &TlsArguments) -> Option<TlsFiles> {
    let (certificate, key) = arguments.tls_cert.clone().zip(arguments.tls_key.clone())?;
    Some(TlsFiles { certificate, key })
}
