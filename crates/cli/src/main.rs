//! The `minato` program: reads the command line, wires the crates together, prints, and says how it went by its exit code.

mod adapter;
mod application;
mod arguments;
mod attestation;
mod build_cache;
mod build_checks;
mod build_input;
mod build_output;
mod build_secrets;
mod build_surroundings;
mod declared;
mod desired;
mod engine;
mod exit;
#[cfg(feature = "failpoints")]
mod fail_points;
mod fields;
mod findings;
mod foreign_builder;
mod image_place;
mod images;
mod log_files;
mod machine;
mod print;
mod repository;
mod verb;
mod watch;

use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

use clap::Parser;

use arguments::{Arguments, Verb};
use exit::Failure;
use machine::Machine;
use print::Printer;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    fail_points::arm();
    // The same file is supervisor and shim: those never return from here.
    minato_workload::reexec();
    let arguments = Arguments::parse();
    let printer = Printer::new();
    match start(&printer, arguments) {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(failure) => {
            print::failure(&printer, &failure);
            failure.code()
        }
    }
}

fn start(printer: &Printer, arguments: Arguments) -> Result<(), Failure> {
    let machine = Machine::new(&arguments.machine)?;
    let ends_itself = arguments.verb.ends_itself();
    let only_reads = matches!(arguments.verb, Verb::Check(_) | Verb::Render(_));
    let mut work = pin!(run(&machine, printer, arguments.verb));
    // A verb that only reads files waits for nothing: it has ended before threads would have started.
    if only_reads && let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return result;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = if ends_itself { runtime.block_on(work) } else { runtime.block_on(until_interrupted(work)) };
    // Threads that still read a registry must not hold up the end.
    runtime.shutdown_background();
    result
}

/// Ctrl-C ends a verb wherever it is, unless the verb takes it as its own end. What was begun is finished or cleaned by
/// the next run.
async fn until_interrupted(verb: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        biased;
        result = verb => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    }
}

async fn run(machine: &Machine, printer: &Printer, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Up(arguments) => verb::up::run(machine, printer, &arguments).await,
        Verb::Build(arguments) => verb::build::run(machine, printer, &arguments).await,
        Verb::Push(arguments) => verb::push::run(machine, printer, &arguments).await,
        Verb::Copy(arguments) => verb::copy::run(machine, printer, &arguments).await,
        Verb::Login(arguments) => verb::login::run(machine, printer, &arguments).await,
        Verb::Logout(arguments) => verb::login::log_out(printer, &arguments).await,
        Verb::Tags(arguments) => verb::tags::run(printer, &arguments),
        Verb::Images(arguments) => verb::images::run(machine, &arguments),
        Verb::Check(arguments) => verb::check::run(printer, &arguments),
        Verb::Sync(arguments) => verb::sync::run(machine, printer, &arguments).await,
        Verb::Render(arguments) => verb::render::run(printer, &arguments),
        Verb::Diff(arguments) => verb::diff::run(machine, printer, &arguments).await,
        Verb::Status(arguments) => verb::status::run(machine, printer, &arguments).await,
        Verb::Logs(arguments) => verb::logs::run(machine, printer, &arguments).await,
        Verb::Exec(arguments) => verb::exec::run(machine, &arguments).await,
        Verb::History(arguments) => verb::history::run(machine, &arguments).await,
        Verb::Rollback(arguments) => verb::rollback::run(machine, printer, &arguments).await,
        Verb::Delete(arguments) => verb::delete::run(machine, printer, &arguments).await,
        Verb::Registry(arguments) => verb::registry::run(machine, printer, arguments).await,
    }
}
