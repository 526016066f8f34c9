//! Sends open-loop load and prints what came of it as JSON. Ends with 1 when a request failed.
#![allow(clippy::print_stdout, reason = "a command of its own")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use minato_loadgen::{Options, start};

#[derive(Parser)]
struct Arguments {
    /// host:port
    address: String,
    /// Requests a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// How long to send; SIGINT or SIGTERM ends it earlier.
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Share on connections of their own.
    #[arg(long, default_value_t = 0.5)]
    new_connections: f64,
    /// Share that streams.
    #[arg(long, default_value_t = 0.1)]
    streaming: f64,
    /// Share that POSTs a unique id.
    #[arg(long, default_value_t = 0.1)]
    posts: f64,
    /// Path of plain GETs.
    #[arg(long, default_value = "/")]
    path: String,
    /// Path of streams; the body must end with the line "end".
    #[arg(long, default_value = "/stream?ms=2000")]
    stream_path: String,
    /// Path of POSTs.
    #[arg(long, default_value = "/post")]
    post_path: String,
    /// Longest wait for an answer, in seconds.
    #[arg(long, default_value_t = 30.0)]
    timeout: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let load = start(Options {
        address: arguments.address,
        rate: arguments.rate,
        duration: Some(Duration::from_secs_f64(arguments.seconds)),
        new_connections: arguments.new_connections,
        streaming: arguments.streaming,
        posts: arguments.posts,
        path: arguments.path,
        stream_path: arguments.stream_path,
        post_path: arguments.post_path,
        timeout: Duration::from_secs_f64(arguments.timeout),
        ..Options::default()
    });
    let over = tokio::time::sleep(Duration::from_secs_f64(arguments.seconds));
    let report = tokio::select! {
        () = over => load.finish().await,
        () = told_to_stop() => load.stop().await,
    };
    println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
    if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn told_to_stop() {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
