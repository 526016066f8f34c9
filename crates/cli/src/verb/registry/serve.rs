//! `minato registry serve`: a registry of one's own, until Ctrl-C.

use minato_registry::server::{Log, Options, Server};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::ServeArguments;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer};

pub async fn run(machine: &Machine, printer: &Printer, arguments: &ServeArguments) -> Result<(), Failure> {
    let folder = arguments.data.clone().unwrap_or_else(|| machine.data().join("registry"));
    let log = printer.clone();
    let options = Options { log: Log::new(move |line| log.line(line)), ..Options::new(&folder) };
    let server = Server::bind(arguments.listen, options).await?;
    // The one line that says where, for people and for programs that asked for any port.
    print::to_stdout(&format!("http://{}\n", server.address()))?;
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
