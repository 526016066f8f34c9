//! `sync` and its companions on this machine: what Git says runs, is compared, fails, comes back, and goes away.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/declared.rs"]
mod declared;
mod support;

use std::fs;
use std::path::Path;

use declared::Declared;
use support::application::Version;
use support::http::page;
use support::machine::{Machine, Run};
use support::parts::{Part, present};

const PARTS: &[Part] = &[Part::Root, Part::Command("git")];

fn version(number: &str) -> Version {
    Version::good(number).soaking_shortly()
}

fn sync(machine: &Machine, declared: &Declared) -> Run {
    let run = machine.minato(&[Path::new("sync"), Path::new("-f"), &declared.file()]);
    machine.look();
    run
}

#[test]
fn an_application_goes_through_its_life_by_file_and_by_name() {
    if !present("an_application_goes_through_its_life_by_file_and_by_name", PARTS) {
        return;
    }
    let (machine, declared) = (Machine::new(), Declared::new("shop", &version("1")));
    declared.build_image(&machine);
    let file = declared.file();
    let with_file = |verb: &str| machine.minato(&[Path::new(verb), Path::new("-f"), &file]);
    with_file("diff").expect(1).says("+ apps/Deployment shop");
    let first = sync(&machine, &declared);
    let address = first.expect(0).address();
    assert!(page(&address, "/").contains("version=1"));
    sync(&machine, &declared).expect(0).says("nothing changed");
    with_file("diff").expect(0);

    let second = declared.commit(&version("2"));
    machine.minato(&["diff", "shop"]).expect(1).says("/spec/template/spec/containers/0/env/0/value");
    machine.minato(&["sync", "shop"]).expect(0).says(&second);
    machine.look();
    assert!(page(&address, "/").contains("version=2"));

    declared.commit(&Version { progress_deadline_seconds: 12, ..version("3").behaving("crash-at-start") });
    sync(&machine, &declared).expect(1).says("the database does not answer").says("revision 2");
    assert!(page(&address, "/").contains("version=2"), "the old one serves");
    with_file("history").expect(0).says("rolled back to 2");
    expect_status(&machine);

    with_file("rollback").expect(0).says("revision 4");
    machine.look();
    assert!(page(&address, "/").contains("version=1"));
    machine.minato(&["sync", "shop", "--revision", &second[..10]]).expect(0);
    machine.look();
    assert!(page(&address, "/").contains("version=2"));
    with_file("delete").expect(0);
    machine.assert_nothing_is_left();
    machine.minato(&["status", "shop"]).expect(2).says("no application is called shop");
}

/// The table and the JSON of a healthy Application, without what is Minato's own.
fn expect_status(machine: &Machine) {
    let table = machine.minato(&["status", "shop"]);
    let heading = "APPLICATION  OBJECT";
    table.expect(0).says(heading).says("apps/Deployment shop").says("Synced").says("Healthy").says("2/2");
    let json = machine.minato(&["status", "-o", "json"]);
    let rows = json.expect(0).json();
    let row = &rows[0];
    assert_eq!(row["application"], "shop");
    assert_eq!(row["destination"], "local://");
    assert_eq!((&row["sync"], &row["health"]), (&"Synced".into(), &"Healthy".into()), "{json}");
    let objects = row["objects"].as_array().unwrap();
    let service = objects.iter().find(|object| object["key"] == "Service shop").unwrap();
    assert!(service["message"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{json}");
    assert!(!json.stdout.contains("minato.dev/object"), "{json}");
}

#[test]
fn what_is_not_committed_is_not_deployed_and_said() {
    if !present("what_is_not_committed_is_not_deployed_and_said", PARTS) {
        return;
    }
    let (machine, declared) = (Machine::new(), Declared::new("shop", &version("1")));
    declared.build_image(&machine);
    declared.write("k8s/application.yaml", "apiVersion: v1\nkind: Broken\n");
    let run = sync(&machine, &declared);
    run.expect(0).says("changes that are not committed");
    assert!(page(&run.address(), "/").contains("version=1"));
    machine.minato(&["delete", "shop"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn objects_for_other_engines_are_left_out_and_named_once_a_kind() {
    if !present("objects_for_other_engines_are_left_out_and_named_once_a_kind", PARTS) {
        return;
    }
    let (machine, declared) = (Machine::new(), Declared::new("shop", &version("1")));
    declared.build_image(&machine);
    let scalers: Vec<String> = ["a", "b", "c"].map(scaler).into();
    declared.write("k8s/hpa.yaml", &scalers.join("---\n"));
    declared.write(
        "k8s/task.json",
        r#"{"family": "shop", "containerDefinitions": [{"name": "a", "image": "x"}]}"#,
    );
    declared.commit_all();
    let run = sync(&machine, &declared);
    run.expect(0).says("ecs.amazonaws.com/TaskDefinition shop is left out").says("and 2 more is left out");
    assert_eq!(run.stderr.matches("HorizontalPodAutoscaler").count(), 1, "{run}");
    machine.minato(&["delete", "shop"]).expect(0);
    machine.assert_nothing_is_left();
}

fn scaler(name: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\nspec: {{maxReplicas: 3}}\n"
    )
}

#[test]
fn what_is_no_longer_in_git_goes_only_where_pruning_is_on() {
    if !present("what_is_no_longer_in_git_goes_only_where_pruning_is_on", PARTS) {
        return;
    }
    let (machine, declared) = (Machine::new(), Declared::new("shop", &version("1")));
    declared.build_image(&machine);
    declared.write("k8s/extra.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n");
    declared.declare("automated: {prune: false}");
    declared.commit_all();
    sync(&machine, &declared).expect(0);
    fs::remove_file(declared.path().join("k8s/extra.yaml")).unwrap();
    declared.commit_all();
    sync(&machine, &declared).expect(0).says("ConfigMap extra is no longer in the files, and is kept");
    let status = machine.minato(&["status", "shop"]);
    status.expect(0).says("Extra");
    machine.minato(&["sync", "shop", "--prune"]).expect(0).says("ConfigMap extra is removed");
    machine.minato(&["delete", "shop"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn two_at_once_wait_or_say_who_holds_it() {
    if !present("two_at_once_wait_or_say_who_holds_it", PARTS) {
        return;
    }
    let machine = Machine::new();
    let declared = Declared::new("shop", &version("1").starting_slowly(4000));
    declared.build_image(&machine);
    let file = declared.file();
    let arguments = [Path::new("sync"), Path::new("-f"), &file];
    let first = machine.start(&arguments, &[]);
    let holder = first.child.id().to_string();
    // The first one holds the application from some moment on, and for at least the four seconds of the start.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let waiting = machine.start(&arguments, &[]);
    let impatient = machine.minato(&[&arguments[..], &[Path::new("--no-wait")]].concat());
    impatient.expect(2).says(&holder).says("is being worked on by");
    first.wait().expect(0);
    waiting.wait().expect(0).says("nothing changed");
    machine.look();
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}
