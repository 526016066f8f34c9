//! A web server in one file, without dependencies: it shows `page.html`.
//!
//! - `GET /` answers the page, with `{version}` and `{hostname}` filled in
//! - `GET /healthz` answers 200 when the page can be read, else 503 with the reason
//! - `server health` asks that of the server on this machine, for HEALTHCHECK: an image from scratch has no shell or wget
//! - SIGTERM lets the requests in flight finish, then ends with code 0
//!
//! Environment: `PORT` (8080), `VERSION`.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

const PAGE: &str = "/page.html";
/// A request's head may be this long; what is longer is cut off and answered with 400.
const HEAD_LIMIT: u64 = 16 * 1024;

/// Held while a request is answered, so that SIGTERM can wait for it.
static IN_FLIGHT: Mutex<u32> = Mutex::new(0);

fn main() {
    let port: u16 = match env::var("PORT").unwrap_or("8080".into()).parse() {
        Ok(port) => port,
        Err(error) => exit_with(&format!("PORT: {error}")),
    };
    if env::args().nth(1).as_deref() == Some("health") {
        process::exit(if is_healthy(port) { 0 } else { 1 });
    }
    signals::on_terminate(|| {
        while *IN_FLIGHT.lock().unwrap() > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        println!("stopped");
        process::exit(0);
    });
    let listener = match TcpListener::bind(("0.0.0.0", port)) {
        Ok(listener) => listener,
        Err(error) => exit_with(&format!("port {port}: {error}")),
    };
    println!("version {} listens on port {port}", version());
    for stream in listener.incoming().flatten() {
        thread::spawn(move || serve(stream));
    }
}

fn exit_with(message: &str) -> ! {
    eprintln!("server: {message}");
    process::exit(1)
}

/// Answers requests on one connection until the other side closes it.
fn serve(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream.try_clone()?);
    let mut answers = stream;
    while let Some(request) = read_request(&mut requests)? {
        *IN_FLIGHT.lock().unwrap() += 1;
        let sent = answers.write_all(&answer(&request));
        *IN_FLIGHT.lock().unwrap() -= 1;
        sent?;
        if request.last {
            break;
        }
    }
    Ok(())
}

struct Request {
    /// `GET / HTTP/1.1`
    first_line: String,
    /// Nothing is read from the connection after this request.
    last: bool,
}

/// Reads one request's head; `None` at the end of the connection.
fn read_request(from: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut head = from.take(HEAD_LIMIT);
    let mut first_line = String::new();
    if head.read_line(&mut first_line)? == 0 {
        return Ok(None);
    }
    // Only GET has no body, which nobody would read.
    let mut last = !first_line.starts_with("GET ");
    let mut line = String::new();
    while head.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        last |= line.trim_end().eq_ignore_ascii_case("connection: close");
        line.clear();
    }
    last |= head.limit() == 0;
    Ok(Some(Request { first_line, last }))
}

fn answer(request: &Request) -> Vec<u8> {
    let (status, kind, body) = match request.first_line.split_whitespace().take(2).collect::<Vec<_>>()[..] {
        ["GET", "/"] => match page() {
            Ok(page) => ("200 OK", "text/html; charset=utf-8", page),
            Err(error) => ("500 Internal Server Error", "text/plain", format!("{PAGE}: {error}\n")),
        },
        ["GET", "/healthz"] => match page() {
            Ok(_) => ("200 OK", "text/plain", "ok\n".into()),
            Err(error) => ("503 Service Unavailable", "text/plain", format!("{PAGE}: {error}\n")),
        },
        ["GET", _] => ("404 Not Found", "text/plain", "not found\n".into()),
        [_, _] => ("405 Method Not Allowed", "text/plain", "only GET\n".into()),
        _ => ("400 Bad Request", "text/plain", "bad request\n".into()),
    };
    let connection = if request.last { "close" } else { "keep-alive" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn page() -> io::Result<String> {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname")?;
    Ok(fs::read_to_string(PAGE)?.replace("{version}", &version()).replace("{hostname}", hostname.trim()))
}

fn version() -> String {
    env::var("VERSION").unwrap_or("unknown".into())
}

/// Whether the server on this machine says that it is healthy; prints its answer if not.
fn is_healthy(port: u16) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = [0; 512];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => true,
        Ok(answer) => {
            println!("{answer}");
            false
        }
        Err(error) => {
            println!("{error}");
            false
        }
    }
}

/// The standard library has no signals. The first process of a container ignores SIGTERM unless it asks for it, so this
/// program does: it blocks the signal in every thread and waits for it in one.
mod signals {
    use std::thread;

    const SIGTERM: i32 = 15;
    const SIG_BLOCK: i32 = 0;
    /// glibc's and musl's `sigset_t`: 1024 bits.
    type SignalSet = [u64; 16];

    unsafe extern "C" {
        fn pthread_sigmask(how: i32, set: *const SignalSet, old: *mut SignalSet) -> i32;
        fn sigwait(set: *const SignalSet, signal: *mut i32) -> i32;
    }

    /// Must be called before another thread is started.
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
