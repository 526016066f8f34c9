//! A user who is not root gets what the kernel allows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::application::{Application, Version};
use support::http::page;
use support::machine::Machine;
use support::parts::{Part, present};

#[test]
fn an_ordinary_user_deploys_updates_and_deletes() {
    let test = "an_ordinary_user_deploys_updates_and_deletes";
    if !present(test, &[Part::Root, Part::Command("setpriv"), Part::UserNamespaces]) {
        return;
    }
    let machine = Machine::of_ordinary_user();
    let application = Application::new(&Version::good("1").soaking_shortly());
    fs::set_permissions(application.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // An ordinary user is one user: in his containers there is nobody but root.
    let dockerfile = application.path().join("Dockerfile");
    let text = fs::read_to_string(&dockerfile).unwrap();
    fs::write(dockerfile, text.replace("USER 65532:65532\n", "")).unwrap();
    let up = [Path::new("up"), Path::new("--detach"), application.path()];
    let first = machine.minato(&up);
    machine.look();
    first.expect(0);
    assert!(page(&first.address(), "/").contains("version=1"));

    application.write(&Version::good("2").soaking_shortly());
    machine.minato(&up).expect(0);
    machine.look();
    assert!(page(&first.address(), "/").contains("version=2"));
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}
