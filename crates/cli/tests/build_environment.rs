//! What RUN steps need from this machine only (proxy, certificate authorities) is given to them and is not in the image.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::path::Path;

use support::machine::Machine;
use support::parts::{Part, busybox, present};

const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nTWFkZSBmb3IgYSB0ZXN0\n-----END CERTIFICATE-----\n";
const BASE: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nUSER 1\n";
/// Prints the environment and which of the files named in it holds the authority.
const LOOK: &str = r#"RUN export PATH=/none; /bin/busybox env; /bin/busybox env | /bin/busybox sed -n 's/=\(\/.*\)/ \1/p' | while read name file; do /bin/busybox grep -q TWFkZSBmb3Ig "$file" 2>/dev/null && echo "authority in $name"; done; true
"#;
/// Prints what of it is left in the files of the image.
const SEARCH: &str =
    "RUN /bin/busybox grep -rl TWFkZSBmb3Ig /etc /tmp /usr /var /run /root /bin 2>/dev/null; echo searched\n";

#[test]
fn proxy_and_authorities_reach_run_and_not_the_image() {
    if !present("proxy_and_authorities_reach_run_and_not_the_image", &[Part::Root, Part::Command("busybox")])
    {
        return;
    }
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    let ca = folder.path().join("authority.pem");
    fs::write(&ca, AUTHORITY).unwrap();
    fs::write(folder.path().join(".dockerignore"), "*\n!busybox\n").unwrap();
    fs::copy(busybox(), folder.path().join("busybox")).unwrap();
    let dockerfile = folder.path().join("Dockerfile");

    fs::write(&dockerfile, format!("{BASE}{LOOK}")).unwrap();
    let given = machine.minato(&[
        "build",
        "--build-ca",
        ca.to_str().unwrap(),
        "--build-env",
        "REGISTRY_TOKEN=for-run-only",
        "--build-arg",
        "HTTPS_PROXY=http://proxy.example:3128",
        folder.path().to_str().unwrap(),
    ]);
    given.expect(0).says("HTTPS_PROXY=http://proxy.example:3128").says("REGISTRY_TOKEN=for-run-only");
    given.says("authority in SSL_CERT_FILE").says("authority in NODE_EXTRA_CA_CERTS");

    fs::write(&dockerfile, format!("{BASE}{LOOK}{SEARCH}RUN /bin/busybox env\n")).unwrap();
    let after = machine.minato(&[Path::new("build"), folder.path()]);
    after.expect(0).says("searched");
    for trace in ["proxy.example", "for-run-only", "authority", "/etc/", "/tmp/"] {
        assert!(!after.stderr.contains(trace), "{trace} is in the image: {after}");
    }
}
