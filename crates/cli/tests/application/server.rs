//! The application that the whole-program tests deploy: a web server in one file, compiled by the tests, static.
//!
//! - `GET /` one line, `version=V host=H`; `GET /stream` one line each 100 ms for 2 s, the last is `end`
//! - `POST /orders` writes one line `POST <body>` to stdout for each request that it executes
//! - `GET /readyz`, `GET /healthz`
//!
//! Every answer has the header `X-Version`.
//!
//! Environment: `PORT` (8080), `VERSION`, `START_MILLISECONDS` (the time before it listens), and `BEHAVIOUR`:
//! `good`, `crash-at-start`, `never-ready`, `fail-after-ready`, `out-of-memory`.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const BODY_LIMIT: usize = 64 * 1024;

static IN_FLIGHT: AtomicU32 = AtomicU32::new(0);
static STOPPING: AtomicBool = AtomicBool::new(false);

fn main() {
    signals::on_terminate(stop);
    let behaviour = variable("BEHAVIOUR", "good");
    say(&format!("starting version {} ({behaviour})", variable("VERSION", "none")));
    thread::sleep(Duration::from_millis(number("START_MILLISECONDS", 0)));
    match &*behaviour {
        "crash-at-start" => {
            eprintln!("fatal: the database does not answer");
            process::exit(3);
        }
        "out-of-memory" => allocate_forever(),
        "fail-after-ready" => drop(thread::spawn(|| {
            thread::sleep(Duration::from_secs(5));
            eprintln!("fatal: lost the connection to the queue");
            process::exit(4);
        })),
        _ => {}
    }
    let listener = TcpListener::bind(("0.0.0.0", number("PORT", 8080) as u16)).expect("the port is free");
    say("listening");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || serve(stream));
    }
}

fn stop() {
    STOPPING.store(true, Ordering::SeqCst);
    while IN_FLIGHT.load(Ordering::SeqCst) > 0 {
        thread::sleep(Duration::from_millis(2));
    }
    say("stopped");
    process::exit(0);
}

fn allocate_forever() {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1 << 20]);
    }
}

struct Request {
    method: String,
    path: String,
    body: String,
    /// The other side wants no further answer on this connection.
    last: bool,
}

fn serve(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut incoming = BufReader::new(stream.try_clone()?);
    let mut outgoing = stream;
    while let Some(request) = read(&mut incoming)? {
        IN_FLIGHT.fetch_add(1, Ordering::SeqCst);
        let answered = answer(&request, &mut outgoing);
        IN_FLIGHT.fetch_sub(1, Ordering::SeqCst);
        answered?;
        if request.last {
            break;
        }
    }
    Ok(())
}

fn read(from: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if from.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let (mut length, mut last) = (0, false);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let line = line.trim().to_ascii_lowercase();
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap_or(0),
            Some(("connection", "close")) => last = true,
            _ => {}
        }
    }
    let mut body = vec![0; usize::min(length, BODY_LIMIT)];
    from.read_exact(&mut body)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(Some(Request { method, path, body: String::from_utf8_lossy(&body).into_owned(), last }))
}

fn answer(request: &Request, out: &mut TcpStream) -> io::Result<()> {
    match (&*request.method, &*request.path) {
        ("GET", "/") => send(out, "200 OK", &who_answers()),
        ("GET", "/stream") => stream(out),
        ("POST", "/orders") => {
            say(&format!("POST {}", request.body));
            send(out, "201 Created", &who_answers())
        }
        ("GET", "/healthz") => send(out, "200 OK", "ok"),
        ("GET", "/readyz") if variable("BEHAVIOUR", "good") == "never-ready" => {
            send(out, "503 Service Unavailable", "still loading the model")
        }
        ("GET", "/readyz") if STOPPING.load(Ordering::SeqCst) => send(out, "503 Service Unavailable", "stopping"),
        ("GET", "/readyz") => send(out, "200 OK", "ready"),
        _ => send(out, "404 Not Found", "not found"),
    }
}

fn who_answers() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("version={} host={}", variable("VERSION", "none"), host.trim())
}

fn send(out: &mut TcpStream, status: &str, text: &str) -> io::Result<()> {
    let length = text.len() + 1;
    out.write_all(format!("{}Content-Length: {length}\r\n\r\n{text}\n", head(status)).as_bytes())
}

fn stream(out: &mut TcpStream) -> io::Result<()> {
    out.write_all(format!("{}Transfer-Encoding: chunked\r\n\r\n", head("200 OK")).as_bytes())?;
    for part in 0..20 {
        chunk(out, &format!("part {part} of {}\n", who_answers()))?;
        thread::sleep(Duration::from_millis(100));
    }
    chunk(out, "end\n")?;
    out.write_all(b"0\r\n\r\n")
}

fn head(status: &str) -> String {
    let version = variable("VERSION", "none");
    format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nX-Version: {version}\r\n")
}

fn chunk(out: &mut TcpStream, text: &str) -> io::Result<()> {
    out.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}

/// Whole lines in one write: the log is evidence, so two threads' lines must not be mixed.
fn say(text: &str) {
    io::stdout().lock().write_all(format!("{text}\n").as_bytes()).ok();
}

fn variable(name: &str, default: &str) -> String {
    env::var(name).unwrap_or(default.into())
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// SIGTERM, which the first process of a container gets only when it asks for it; blocked everywhere, awaited in one thread.
mod signals {
    use std::thread;

    const SIGTERM: i32 = 15;
    const SIG_BLOCK: i32 = 0;
    type SignalSet = [u64; 16];

    unsafe extern "C" {
        fn pthread_sigmask(how: i32, set: *const SignalSet, old: *mut SignalSet) -> i32;
        fn sigwait(set: *const SignalSet, signal: *mut i32) -> i32;
    }

    pub fn on_terminate(stop: impl FnOnce() + Send + 'static) {
        let mut set: SignalSet = [0; 16];
        set[0] = 1 << (SIGTERM - 1);
        // SAFETY: both calls get pointers to live values of the size that the C library gives its signal sets.
        unsafe { pthread_sigmask(SIG_BLOCK, &set, std::ptr::null_mut()) };
        thread::spawn(move || {
            let mut signal = 0;
            // SAFETY: as above.
            while unsafe { sigwait(&set, &mut signal) } != 0 {}
            stop();
        });
    }
}
