//! Service listeners inside a pod: programs of the pod have every port, the Services' ones too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;

use minato_runtime::{ContainerSpec, Network, OwnNetwork, Shim, Signal, Warning};
use support::{Bench, Missing, answer, eventually, exec, exit_of, need_program, nothing_is_left, run, shell};

fn main() {
    run(&[
        (
            "a_program_binds_a_services_port_on_all_addresses",
            a_program_binds_a_services_port_on_all_addresses,
        ),
        ("connections_outlive_their_listener", connections_outlive_their_listener),
        ("an_adopted_container_has_the_same_listener", an_adopted_container_has_the_same_listener),
        ("two_shims_of_a_pod_have_listeners_of_their_own", two_shims_of_a_pod_have_listeners_of_their_own),
        ("a_killed_shims_listener_is_replaced", a_killed_shims_listener_is_replaced),
        ("the_rule_is_there_once", the_rule_is_there_once),
        ("the_machines_own_rules_are_left_alone", the_machines_own_rules_are_left_alone),
        ("without_rules_the_listener_has_the_port_itself", without_rules_the_listener_has_the_port_itself),
    ]);
}

const SERVICE: [u8; 4] = [127, 1, 0, 1];
const FOREVER: &str = "while :; do sleep 0.05; done";

fn service(address: [u8; 4], port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address.into(), port)
}

fn own(spec: ContainerSpec) -> ContainerSpec {
    let own = OwnNetwork { address: [10, 88, 2, 1].into(), uplink: None };
    ContainerSpec { network: Network::Own(own), ..spec }
}

fn joining(spec: ContainerSpec, first: &Shim) -> ContainerSpec {
    ContainerSpec { network: Network::Join(first.identity().clone()), ..spec }
}

/// What a program of the pod gets from there; nothing when it can't connect.
fn fetch(shim: &Shim, from: &str) -> String {
    let (exit, text) = exec(shim, &shell(&format!("wget -q -O - http://{from}/ 2> /dev/null")));
    if exit.success() { text } else { String::new() }
}

fn connect(shim: &Shim, to: SocketAddrV4) -> std::io::Result<TcpStream> {
    let socket: OwnedFd = shim.sockets(1).unwrap().pop().unwrap();
    rustix::net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

fn a_program_binds_a_services_port_on_all_addresses() -> Result<(), Missing> {
    for address in ["0.0.0.0:3000", "[::]:3000"] {
        for program_first in [false, true] {
            {
                let bench = Bench::new()?;
                let script = format!(
                    "mkdir /www; echo program > /www/index.html; until [ -e /go ]; do sleep 0.02; done
                    exec httpd -f -p {address} -h /www"
                );
                let shim = bench.runtime.start(&own(bench.shell(&script))).unwrap();
                let start = || {
                    assert!(exec(&shim, &shell("touch /go")).0.success());
                    eventually("the program serves", || fetch(&shim, "127.0.0.1:3000") == "program\n");
                };
                if program_first {
                    start();
                    answer(&shim, service(SERVICE, 3000), "service");
                } else {
                    answer(&shim, service(SERVICE, 3000), "service");
                    start();
                }
                assert_eq!(fetch(&shim, "127.1.0.1:3000"), "service\n", "{address}");
                assert_eq!(fetch(&shim, "127.0.0.1:3000"), "program\n", "{address}");
                assert_eq!(fetch(&shim, "10.88.2.1:3000"), "program\n", "{address}");
                let six = exec(&shim, &shell("test -e /proc/net/if_inet6")).0.success();
                if address.starts_with('[') && six {
                    assert_eq!(fetch(&shim, "[::1]:3000"), "program\n");
                }
                shim.unlisten(service(SERVICE, 3000)).unwrap();
                assert_eq!(fetch(&shim, "127.1.0.1:3000"), "program\n", "as if there had been no Service");
                shim.signal(Signal::KILL).unwrap();
                exit_of(&shim);
                shim.release().unwrap();
            }
            nothing_is_left();
        }
    }
    Ok(())
}

fn connections_outlive_their_listener() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let shim = bench.runtime.start(&own(bench.shell(FOREVER))).unwrap();
    let at = service(SERVICE, 80);
    let listener = TcpListener::from(shim.listen(at).unwrap());
    let mut client = connect(&shim, at).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    shim.unlisten(at).unwrap();
    drop(listener);
    assert!(connect(&shim, at).is_err());
    client.write_all(b"ask").unwrap();
    let mut heard = [0; 3];
    served.read_exact(&mut heard).unwrap();
    served.write_all(b"say").unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"say");
    Ok(())
}

fn an_adopted_container_has_the_same_listener() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let shim = bench.runtime.start(&own(bench.shell(FOREVER))).unwrap();
    let at = service(SERVICE, 80);
    let before = TcpListener::from(shim.listen(at).unwrap()).local_addr().unwrap();
    let waiting = connect(&shim, at).unwrap();
    let adopted = bench.runtime.adopt(shim.id()).unwrap().unwrap();
    let listener = TcpListener::from(adopted.listen(at).unwrap());
    assert_eq!(listener.local_addr().unwrap(), before);
    assert_eq!(listener.accept().unwrap().1, waiting.local_addr().unwrap());
    Ok(())
}

fn two_shims_of_a_pod_have_listeners_of_their_own() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let first = bench.runtime.start(&own(bench.shell(FOREVER))).unwrap();
        let second = bench.runtime.start(&joining(bench.shell(FOREVER), &first)).unwrap();
        answer(&first, service(SERVICE, 80), "first 80");
        answer(&second, service(SERVICE, 81), "second 81");
        answer(&second, service([127, 1, 0, 2], 80), "second 80");
        answer(&first, service([127, 1, 0, 3], 80), "first, soon replaced");
        answer(&second, service([127, 1, 0, 3], 80), "second replaced it");
        first.unlisten(service([127, 1, 0, 3], 80)).unwrap();
        for shim in [&first, &second] {
            assert_eq!(fetch(shim, "127.1.0.1:80"), "first 80\n");
            assert_eq!(fetch(shim, "127.1.0.1:81"), "second 81\n");
            assert_eq!(fetch(shim, "127.1.0.2:80"), "second 80\n");
            assert_eq!(fetch(shim, "127.1.0.3:80"), "second replaced it\n");
        }
        second.signal(Signal::KILL).unwrap();
        exit_of(&second);
        second.release().unwrap();
        assert_eq!(fetch(&first, "127.1.0.1:80"), "first 80\n");
        for gone in [service(SERVICE, 81), service([127, 1, 0, 2], 80), service([127, 1, 0, 3], 80)] {
            assert!(connect(&first, gone).is_err(), "{gone}");
        }
    }
    nothing_is_left();
    Ok(())
}

fn a_killed_shims_listener_is_replaced() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let first = bench.runtime.start(&own(bench.shell(FOREVER))).unwrap();
        let second = bench.runtime.start(&joining(bench.shell(FOREVER), &first)).unwrap();
        let at = service(SERVICE, 80);
        drop(first.listen(at).unwrap());
        first.identity().kill(Signal::KILL);
        bench.runtime.remove(first.id()).unwrap();
        assert!(connect(&second, at).is_err());
        answer(&second, at, "second");
        assert_eq!(fetch(&second, "127.1.0.1:80"), "second\n");
    }
    nothing_is_left();
    Ok(())
}

fn the_rule_is_there_once() -> Result<(), Missing> {
    let tables = Tables::new()?;
    let bench = Bench::new()?;
    let first = bench.runtime.start(&own(bench.shell(FOREVER))).unwrap();
    let second = bench.runtime.start(&joining(bench.shell(FOREVER), &first)).unwrap();
    assert_eq!(tables.nft(&first, "list ruleset"), "");
    let at = |port| service(SERVICE, port);
    let listeners = [80, 81, 82].map(|port| first.listen(at(port)).unwrap());
    let others = [90, 91].map(|port| second.listen(at(port)).unwrap());
    let again = first.listen(at(80)).unwrap();
    let text = tables.nft(&first, "list ruleset");
    assert_eq!(text.matches(" map @listeners").count(), 1, "{text}");
    assert_eq!(text.matches(" : 127.1.0.1 . ").count(), 5, "{text}");
    drop((listeners, others, again));
    for port in [80, 81, 82] {
        first.unlisten(at(port)).unwrap();
    }
    for port in [90, 91] {
        second.unlisten(at(port)).unwrap();
    }
    let text = tables.nft(&first, "list ruleset");
    assert_eq!(text.matches(" : 127.1.0.1 . ").count(), 0, "{text}");
    Ok(())
}

fn the_machines_own_rules_are_left_alone() -> Result<(), Missing> {
    let tables = Tables::new()?;
    let bench = Bench::new()?;
    let first =
        bench.runtime.start(&ContainerSpec { network: Network::Host, ..bench.shell(FOREVER) }).unwrap();
    let second = bench.runtime.start(&joining(bench.shell(FOREVER), &first)).unwrap();
    for shim in [&first, &second] {
        // A port that is free, also for the second time.
        let free = TcpListener::bind("127.47.11.1:0").unwrap().local_addr().unwrap();
        let SocketAddr::V4(at) = free else { panic!("{free}") };
        let listener = TcpListener::from(shim.listen(at).unwrap());
        assert_eq!(listener.local_addr().unwrap(), free);
        assert!(TcpStream::connect(at).is_ok());
    }
    assert!(!tables.nft(&first, "list tables").contains("minato-services"));
    Ok(())
}

fn without_rules_the_listener_has_the_port_itself() -> Result<(), Missing> {
    let tables = Tables::new()?;
    let bench = Bench::new()?;
    let shim = bench.runtime.start(&own(bench.shell(FOREVER))).unwrap();
    // With something else under the table's name, the kernel refuses what belongs into it.
    tables.nft(&shim, "add table ip minato-services");
    let at = service(SERVICE, 3000);
    let listener = TcpListener::from(shim.listen(at).unwrap());
    assert_eq!(listener.local_addr().unwrap(), SocketAddr::V4(at));
    drop(shim.listen(at).unwrap());
    let adopted = bench.runtime.adopt(shim.id()).unwrap().unwrap();
    let taken = |warning: &&Warning| matches!(warning, Warning::PortTaken { service, .. } if *service == at);
    assert_eq!(adopted.warnings().iter().filter(taken).count(), 1, "{:?}", adopted.warnings());
    connect(&shim, at).unwrap();
    Ok(())
}

/// nftables' own program, for looking at the rules of a container's namespace and changing them.
struct Tables {
    nsenter: PathBuf,
    nft: PathBuf,
}

impl Tables {
    fn new() -> Result<Self, Missing> {
        support::need_root()?;
        Ok(Self { nsenter: need_program("nsenter")?, nft: need_program("nft")? })
    }

    fn nft(&self, inside: &Shim, words: &str) -> String {
        let mut command = Command::new(&self.nsenter);
        command.arg(format!("--net=/proc/{}/ns/net", inside.identity().pid)).arg(&self.nft);
        let output = command.args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
