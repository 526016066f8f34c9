//! A proxy in front of an HTTP server that a test makes misbehave: it answers in the server's place, or hangs up.
//!
//! One request on each connection; what is passed on streams through, so watches work.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// A request, read to its end.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub arrived: Instant,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What becomes of one request.
pub enum Fate {
    /// The server answers.
    Pass,
    /// The proxy does.
    Answer(Answer),
    /// The connection ends without a byte.
    Cut,
}

/// The address of a server without TLS, `127.0.0.1:4566`; the server may move.
#[derive(Clone, Debug)]
pub struct Server(Arc<Mutex<String>>);

type Decide = dyn Fn(&Request, &Server) -> Fate + Send + Sync;

/// Listens until the test ends; threads of connections end with their peers.
pub struct Proxy {
    pub address: String,
    server: Server,
    decide: Arc<Mutex<Arc<Decide>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Proxy {
    /// Passes everything on to the server until [`Proxy::decide`] says otherwise.
    pub fn before(server: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server(Arc::new(Mutex::new(bare(server))));
        let pass: Arc<Decide> = Arc::new(|_: &Request, _: &Server| Fate::Pass);
        let proxy = Proxy {
            address,
            server: server.clone(),
            decide: Arc::new(Mutex::new(pass)),
            requests: Arc::default(),
        };
        let (decide, requests) = (proxy.decide.clone(), proxy.requests.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (decide, requests, server) = (decide.clone(), requests.clone(), server.clone());
                thread::spawn(move || serve(client, &server, &decide, &requests));
            }
        });
        proxy
    }

    /// From now on this decides what becomes of each request.
    pub fn decide(&self, decide: impl Fn(&Request, &Server) -> Fate + Send + Sync + 'static) {
        *self.decide.lock().unwrap() = Arc::new(decide);
    }

    /// From now on the server is there.
    pub fn moved(&self, server: &str) {
        *self.server.0.lock().unwrap() = bare(server);
    }

    /// Every request that has arrived, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn forget_requests(&self) {
        self.requests.lock().unwrap().clear();
    }
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

impl Answer {
    /// A JSON document, as both Kubernetes and AWS answer.
    pub fn json(status: u16, document: &serde_json::Value) -> Answer {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Answer { status, headers, body: document.to_string().into_bytes() }
    }

    pub fn document(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Server {
    /// The server's own whole answer to a request.
    pub fn answer(&self, request: &Request) -> io::Result<Answer> {
        let mut server = BufReader::new(self.send(request)?);
        let (first, headers) = read_head(&mut server)?;
        let status =
            first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let body = read_body(&mut server, &headers, true)?;
        let headers = headers
            .into_iter()
            .filter(|(name, _)| !matches!(&**name, "transfer-encoding" | "content-length"));
        Ok(Answer { status, headers: headers.collect(), body })
    }

    fn send(&self, request: &Request) -> io::Result<TcpStream> {
        let address = self.0.lock().unwrap().clone();
        let mut server = TcpStream::connect(address)?;
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
        for (name, value) in &request.headers {
            if !matches!(&**name, "connection" | "content-length" | "transfer-encoding" | "expect") {
                head += &format!("{name}: {value}\r\n");
            }
        }
        head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len());
        server.write_all(head.as_bytes())?;
        server.write_all(&request.body)?;
        Ok(server)
    }
}

fn bare(address: &str) -> String {
    address.trim_start_matches("http://").to_owned()
}

fn serve(
    client: TcpStream,
    server: &Server,
    decide: &Mutex<Arc<Decide>>,
    requests: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    let mut incoming = BufReader::new(client.try_clone()?);
    let mut outgoing = client;
    let request = read_request(&mut incoming)?;
    requests.lock().unwrap().push(request.clone());
    let decide = decide.lock().unwrap().clone();
    match decide(&request, server) {
        Fate::Cut => outgoing.shutdown(Shutdown::Both),
        Fate::Answer(answer) => write_answer(&mut outgoing, &answer),
        Fate::Pass => match server.send(&request) {
            Ok(mut server) => stream(&mut server, &mut outgoing),
            // As the server that isn't there would look.
            Err(_) => outgoing.shutdown(Shutdown::Both),
        },
    }
}

/// Byte for byte, as they come; the server closes after its answer.
fn stream(server: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
    let copied = io::copy(server, client);
    client.shutdown(Shutdown::Both).ok();
    copied.map(drop)
}

fn write_answer(client: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} as-the-test-says\r\n", answer.status);
    for (name, value) in &answer.headers {
        if name != "connection" {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", answer.body.len());
    client.write_all(head.as_bytes())?;
    client.write_all(&answer.body)?;
    client.shutdown(Shutdown::Write)
}

fn read_request(client: &mut BufReader<TcpStream>) -> io::Result<Request> {
    let (first, headers) = read_head(client)?;
    let body = match headers.iter().any(|(name, value)| name == "expect" && value == "100-continue") {
        true => {
            client.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            read_body(client, &headers, false)?
        }
        false => read_body(client, &headers, false)?,
    };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(Request { method, path, headers, body, arrived: Instant::now() })
}

fn read_head(from: &mut BufReader<TcpStream>) -> io::Result<(String, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)?;
    let header = |line: String| {
        line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Ok((first, lines.filter_map(header).collect()))
}

/// A request without a length has no body; an answer without one ends with the connection.
fn read_body(
    from: &mut BufReader<TcpStream>,
    headers: &[(String, String)],
    until_closed: bool,
) -> io::Result<Vec<u8>> {
    let header =
        |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        while let Some(chunk) = read_chunk(from)? {
            body.extend(chunk);
        }
    } else if let Some(length) = header("content-length").and_then(|value| value.parse().ok()) {
        from.take(length).read_to_end(&mut body)?;
    } else if until_closed {
        from.read_to_end(&mut body)?;
    }
    Ok(body)
}

/// RFC 9112, 7.1; `None` is the last one.
fn read_chunk(from: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let digits = line.trim().split(';').next().unwrap_or_default();
    let size = usize::from_str_radix(digits, 16).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut chunk = vec![0; size + 2];
    from.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok((size > 0).then_some(chunk))
}
