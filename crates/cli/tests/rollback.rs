//! History and going back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::path::Path;

use support::application::{Application, Version};
use support::http::page;
use support::machine::Machine;
use support::parts::{Part, present};

#[test]
fn rollback_brings_the_revision_before_and_is_in_the_history() {
    if !present("rollback_brings_the_revision_before_and_is_in_the_history", &[Part::Root]) {
        return;
    }
    let (machine, application) = (Machine::new(), Application::new(&Version::good("1")));
    machine.up(application.path());
    application.write(&Version::good("2"));
    let address = machine.up(application.path());
    assert!(page(&address, "/").contains("version=2"));

    machine.minato(&[Path::new("rollback"), application.path()]).expect(0);
    machine.look();
    assert!(page(&address, "/").contains("version=1"));
    let history = machine.minato(&["history", "-o", "json"]);
    assert_eq!(history.expect(0).json().as_array().map(Vec::len), Some(3), "{history}");

    machine.minato(&["rollback", "--to", "99"]).expect(2).says("99");
    let versions =
        || machine.minato(&["images", "-o", "json"]).expect(0).to_string().matches("example/shop:").count();
    assert_eq!(versions(), 1, "both revisions have one image");
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
    assert_eq!(versions(), 0, "their names went with the application");
}
