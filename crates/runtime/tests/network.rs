//! Network namespaces: a port of one's own, sockets handed out, a pod shared, the way out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;

use minato_runtime::{ContainerSpec, Network, OwnNetwork, Shim, Signal, Stream, Uplink, Warning};
use support::{Bench, Missing, eventually, exec, exit_of, need_program, nothing_is_left, run, shell};

fn main() {
    run(&[
        ("two_containers_have_the_same_port", two_containers_have_the_same_port),
        ("a_listener_outlives_who_asked_for_it", a_listener_outlives_who_asked_for_it),
        ("a_second_container_joins_the_pod", a_second_container_joins_the_pod),
        ("isolated_is_alone_and_host_is_not", isolated_is_alone_and_host_is_not),
        (
            "the_way_out_is_a_bridge_that_goes_with_its_last_user",
            the_way_out_is_a_bridge_that_goes_with_its_last_user,
        ),
    ]);
}

const SERVE: &str = "mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 3000 -h /www";

fn own(spec: ContainerSpec, address: [u8; 4]) -> ContainerSpec {
    ContainerSpec { network: Network::Own(OwnNetwork { address: address.into(), uplink: None }), ..spec }
}

/// Dials through a socket made in the container's namespace.
fn dial(shim: &Shim, address: [u8; 4], port: u16) -> std::io::Result<TcpStream> {
    let socket: OwnedFd = shim.sockets(1).unwrap().pop().unwrap();
    rustix::net::connect(&socket, &SocketAddrV4::new(address.into(), port))?;
    Ok(TcpStream::from(socket))
}

fn get(shim: &Shim, address: [u8; 4]) -> String {
    let mut text = String::new();
    eventually("the server answers", || match dial(shim, address, 3000) {
        Err(_) => false,
        Ok(mut stream) => {
            text.clear();
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_ok() && stream.read_to_string(&mut text).is_ok()
        }
    });
    text.rsplit("\r\n\r\n").next().unwrap().to_owned()
}

fn two_containers_have_the_same_port() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let address = [10, 88, 1, 1];
        let start = |name: &str| {
            let spec = ContainerSpec { hostname: name.to_owned(), ..own(bench.shell(SERVE), address) };
            bench.runtime.start(&spec).unwrap()
        };
        let (first, second) = (start("first"), start("second"));
        assert_eq!(get(&first, address), "first\n");
        assert_eq!(get(&second, address), "second\n");
        assert_eq!(first.sockets(64).unwrap().len(), 64);
        assert!(first.sockets(65).is_err());
        for shim in [first, second] {
            shim.signal(Signal::KILL).unwrap();
            exit_of(&shim);
            assert!(dial(&shim, address, 3000).is_err());
            shim.release().unwrap();
        }
    }
    nothing_is_left();
    Ok(())
}

fn a_listener_outlives_who_asked_for_it() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let spec = own(
        bench.shell("while :; do wget -q -O - http://127.1.0.1/ && exit 0; sleep 0.02; done"),
        [10, 88, 1, 2],
    );
    let shim = bench.runtime.start(&spec).unwrap();
    let service = SocketAddrV4::new(Ipv4Addr::new(127, 1, 0, 1), 80);
    drop(shim.listen(service).unwrap());
    // Connections wait in the queue of the one that the shim keeps.
    let listener = TcpListener::from(shim.listen(service).unwrap());
    let (mut stream, _) = listener.accept().unwrap();
    // Closing with a request unread would reset the connection.
    let mut request = [0; 1024];
    assert!(stream.read(&mut request).unwrap() > 0);
    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nserved").unwrap();
    drop(stream);
    assert!(exit_of(&shim).success());
    assert_eq!(support::stream_output(&spec, &[Stream::Stdout]), "served\n");
    shim.unlisten(service).unwrap();
    drop(listener);
    assert!(TcpListener::from(shim.listen(service).unwrap()).local_addr().is_ok(), "the port is free again");
    assert!(
        shim.listen(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80)).is_err(),
        "no such address there"
    );
    shim.release().unwrap();
    Ok(())
}

fn a_second_container_joins_the_pod() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let first = bench.runtime.start(&own(bench.shell(SERVE), [10, 88, 1, 3])).unwrap();
        get(&first, [10, 88, 1, 3]);
        let script = "wget -q -O - http://127.0.0.1:3000/ > /dev/null && echo reached";
        let second =
            ContainerSpec { network: Network::Join(first.identity().clone()), ..bench.shell(script) };
        let (exit, text) = bench.run(&second);
        assert!(exit.success());
        assert_eq!(text, "reached\n");
        let gone = minato_runtime::Identity { start_time: 1, ..first.identity().clone() };
        let third = ContainerSpec { network: Network::Join(gone), ..bench.shell("true") };
        assert!(bench.runtime.start(&third).is_err(), "another process with that pid is not joined");
    }
    nothing_is_left();
    Ok(())
}

fn isolated_is_alone_and_host_is_not() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let script = "ls /sys/class/net | tr '\\n' ' '; cat /proc/net/route | wc -l; ping -c 1 -W 1 127.0.0.1 | grep -c 'bytes from'";
    let (_, text) = bench.run(&bench.shell(script));
    assert_eq!(text, "lo 1\n1\n");
    let (_, text) =
        bench.run(&ContainerSpec { network: Network::Host, ..bench.shell("readlink /proc/self/ns/net") });
    assert_eq!(text.trim(), std::fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap());
    Ok(())
}

fn the_way_out_is_a_bridge_that_goes_with_its_last_user() -> Result<(), Missing> {
    let bridge = format!("mt{}", std::process::id());
    let outside = Outside::new()?;
    {
        let bench = Bench::new()?;
        let uplink = Uplink { bridge: bridge.clone(), gateway: Ipv4Addr::new(10, 213, 0, 1), prefix: 24 };
        let start = |last: u8| {
            let own = OwnNetwork { address: [10, 213, 0, last].into(), uplink: Some(uplink.clone()) };
            bench.runtime.start(&ContainerSpec { network: Network::Own(own), ..bench.shell(SERVE) }).unwrap()
        };
        let (first, second) = (start(2), start(3));
        if let Some(Warning::NoWayOut { reason }) = first.warnings().first() {
            return Err(Missing(format!("a way out: {reason}")));
        }
        get(&first, [10, 213, 0, 2]);
        // Servers take a moment to listen.
        let reach = |address: &str| {
            let fetch = shell(&format!("wget -q -O - http://{address} > /dev/null"));
            eventually(address, || exec(&second, &fetch).0.success());
        };
        reach("10.213.0.2:3000");
        // That machine knows no way back to the container's address.
        reach(&outside.address());
        let index = |address: &str| TcpStream::connect(address).is_ok();
        assert!(index("10.213.0.2:3000"), "the host reaches a container");

        second.identity().kill(Signal::KILL);
        bench.runtime.remove(second.id()).unwrap();
        assert!(std::path::Path::new("/sys/class/net").join(&bridge).exists(), "the first still uses it");
        first.signal(Signal::KILL).unwrap();
        exit_of(&first);
        first.release().unwrap();
        assert!(!std::path::Path::new("/sys/class/net").join(&bridge).exists());
    }
    nothing_is_left();
    Ok(())
}

/// A machine behind the host, as a network namespace without a route to anywhere; made with `ip`.
struct Outside {
    name: String,
    server: std::process::Child,
}

impl Outside {
    fn new() -> Result<Self, Missing> {
        support::need_root()?;
        need_program("ip")?;
        need_program("busybox")?;
        let name = format!("mo{}", std::process::id());
        let ip = |arguments: &str| {
            let arguments = arguments.replace("NAME", &name);
            assert!(
                Command::new("ip").args(arguments.split(' ')).status().unwrap().success(),
                "ip {arguments}"
            );
        };
        ip("netns add NAME");
        ip("link add NAME type veth peer name eth0 netns NAME");
        ip("addr add 198.18.213.1/24 dev NAME");
        ip("link set NAME up");
        ip("-n NAME addr add 198.18.213.2/24 dev eth0");
        ip("-n NAME link set eth0 up");
        let mut server = Command::new("ip");
        server.args(["netns", "exec", &name, "busybox", "httpd", "-f", "-p", "8000", "-h", "/etc"]);
        Ok(Self { server: server.spawn().unwrap(), name })
    }

    /// A file that every machine has.
    fn address(&self) -> String {
        "198.18.213.2:8000/hostname".to_owned()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ended = self.server.kill();
        let _reaped = self.server.wait();
        let _gone = Command::new("ip").args(["link", "del", &self.name]).status();
        let _gone = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}
