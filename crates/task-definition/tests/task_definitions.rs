//! A task definition becomes types, and what ECS would refuse is told at its line.

#![allow(clippy::unwrap_used, reason = "a case that cannot be read fails the test")]

use std::sync::Arc;

use minato_resource::SourceFile;
use minato_task_definition::{
    ApplicationProtocol, DependencyCondition, HealthCommand, NetworkMode, Protocol, TaskDefinition,
    VolumeKind, parse,
};

fn read(text: &str) -> (TaskDefinition, Vec<String>) {
    let (objects, diagnostics) = parse(&Arc::new(SourceFile::new("a.json", text)));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let (task, diagnostics) = TaskDefinition::from_object(&objects[0]);
    (task.unwrap(), diagnostics.iter().map(ToString::to_string).collect())
}

/// The diagnostics of a task definition with these fields and containers.
fn told(fields: &str, containers: &str) -> Vec<String> {
    read(&format!("{{\"family\": \"web\", {fields}\n\"containerDefinitions\": [\n{containers}\n]}}")).1
}

#[test]
fn every_field_of_a_task() {
    let (task, told) = read(include_str!("../testdata/everything.json"));
    assert_eq!(told, [""; 0]);
    assert_eq!((task.family.as_str(), task.cpu, task.memory), ("web", Some(1024), Some(2048)));
    assert_eq!(task.network_mode, NetworkMode::AwsVpc);
    assert!(task.is_fargate());
    let kinds: Vec<&VolumeKind> = task.volumes.iter().map(|volume| &volume.kind).collect();
    let efs = VolumeKind::Elsewhere("efsVolumeConfiguration");
    assert_eq!(kinds, [&VolumeKind::Empty, &VolumeKind::Host("/srv".to_owned()), &efs]);
}

#[test]
fn every_field_of_a_container() {
    let (task, _) = read(include_str!("../testdata/everything.json"));
    let [web, sidecar] = task.containers.as_slice() else { panic!("two containers") };
    assert!(web.essential && !sidecar.essential && web.readonly_root_filesystem && web.privileged);
    assert_eq!((web.entry_point.as_slice(), web.command.len()), (["/bin/web".to_owned()].as_slice(), 2));
    assert_eq!((web.cpu, web.memory, web.memory_reservation), (Some(512), Some(1024), Some(256)));
    let port = &web.port_mappings[0];
    assert_eq!((port.container_port, port.protocol), (Some(8080), Protocol::Tcp));
    assert_eq!(port.application_protocol, Some(ApplicationProtocol::Grpc));
    let check = web.health_check.as_ref().unwrap();
    assert_eq!(check.command, HealthCommand::Shell("wget -q http://localhost:8080".to_owned()));
    assert_eq!(
        (check.interval_seconds, check.timeout_seconds, check.retries, check.start_period_seconds),
        (10, 5, 3, 60)
    );
    assert_eq!(sidecar.depends_on[0].condition, DependencyCondition::Healthy);
}

#[test]
fn every_field_of_a_containers_surroundings() {
    let (task, _) = read(include_str!("../testdata/everything.json"));
    let [web, sidecar] = task.containers.as_slice() else { panic!("two containers") };
    assert_eq!(web.linux_parameters.capabilities_drop, ["ALL"]);
    assert_eq!(
        (web.linux_parameters.tmpfs[0].size_mib, web.linux_parameters.shared_memory_mib),
        (64, Some(128))
    );
    assert_eq!((web.ulimits[0].soft, web.ulimits[0].hard), (1024, -1));
    assert_eq!((web.stop_timeout_seconds, web.start_timeout_seconds), (Some(30), Some(60)));
    assert_eq!(web.log_configuration.as_ref().unwrap().log_driver, "awslogs");
    assert_eq!(web.restart_policy.as_ref().unwrap().ignored_exit_codes, [0, 137]);
    assert_eq!(web.extra_hosts[0].ip_address, "10.0.0.1");
    assert_eq!(web.docker_labels["team"], "web");
    assert_eq!((web.mount_points[0].read_only, sidecar.volumes_from[0].read_only), (false, true));
    assert_eq!((web.user.as_deref(), web.working_directory.as_deref()), (Some("1000:1000"), Some("/srv")));
    assert_eq!(web.environment_files[0].value, "arn:aws:s3:::bucket/web.env");
    assert_eq!(web.secrets[0].value_from, "arn:aws:ssm:r:1:parameter/a");
}

#[test]
fn plain_text_environment_is_not_shown() {
    let (task, _) = read(include_str!("../testdata/everything.json"));
    let shown = format!("{task:?}");
    assert!(shown.contains("MODE") && !shown.contains("hush"), "{shown}");
}

#[test]
fn fields_of_the_wrong_type_have_a_place() {
    assert_eq!(
        told(
            "\"cpu\": [1],",
            "{\"name\": 1,\n\"image\": \"a\",\n\"essential\": \"yes\",\n\"command\": \"a b\",\n\"portMappings\": [{\"containerPort\": 70000}, 3]}"
        ),
        [
            "a.json:1:19: error[ecs-type]: `cpu` must be text, not a list",
            "a.json:3:10: error[ecs-type]: `name` must be text, not a number",
            "a.json:5:14: error[ecs-type]: `essential` must be `true` or `false`, not text",
            "a.json:6:12: error[ecs-type]: `command` must be a list, not text",
            "a.json:7:36: error[ecs-range]: `containerPort` is 70000, which is out of range",
            "a.json:7:44: error[ecs-type]: each item of `portMappings` must be a mapping, not a number",
        ]
    );
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        told("", "{\"portMappings\": [{}], \"dependsOn\": [{\"containerName\": \"x\"}]}"),
        [
            "a.json:3:2: error[ecs-missing]: `name` is missing",
            "a.json:3:2: error[ecs-missing]: `image` is missing",
            "a.json:3:19: error[ecs-missing]: the port mapping has no `containerPort`",
            "a.json:3:39: error[ecs-missing]: `condition` is missing",
        ]
    );
}

#[test]
fn a_slip_in_a_fields_name_is_warned_of_and_a_new_field_is_not() {
    assert_eq!(
        told(
            "\"networkmode\": \"awsvpc\",",
            "{\"name\": \"a\", \"image\": \"b\", \"enviroment\": [], \"brandNewThing\": 1}"
        ),
        [
            "a.json:1:19: warning[ecs-field]: ECS knows no field `networkmode` here",
            "a.json:3:29: warning[ecs-field]: ECS knows no field `enviroment` here",
        ]
    );
}

#[test]
fn sizes_of_fargate() {
    let check = |fields: &str, expected: &[&str]| {
        let fields = format!("\"requiresCompatibilities\": [\"FARGATE\"], {fields}");
        let told = told(&fields, "{\"name\": \"a\", \"image\": \"b\"}");
        let messages: Vec<&str> =
            told.iter().filter_map(|told| told.split_once("]: ")).map(|(_, message)| message).collect();
        assert_eq!(messages, expected, "{fields}");
    };
    let awsvpc = "\"networkMode\": \"awsvpc\",";
    check(&format!("{awsvpc} \"cpu\": \"256\", \"memory\": \"512\","), &[]);
    check(&format!("{awsvpc} \"cpu\": \"1 vCPU\", \"memory\": \"2 GB\","), &[]);
    check(
        &format!("{awsvpc} \"cpu\": \"256\", \"memory\": \"4096\","),
        &["Fargate gives 512, 1024 or 2048 MiB to 256 CPU units, not 4096 MiB"],
    );
    check(
        &format!("{awsvpc} \"cpu\": \"8192\", \"memory\": \"18432\","),
        &["Fargate gives 16 to 60 GB in steps of 4 GB to 8192 CPU units, not 18432 MiB"],
    );
    check(
        &format!("{awsvpc} \"cpu\": \"300\", \"memory\": \"512\","),
        &["Fargate has no size of 300 CPU units; it has 256, 512, 1024, 2048, 4096, 8192, 16384"],
    );
    check(&format!("{awsvpc} \"cpu\": \"256\","), &["Fargate needs the task's `memory`"]);
    check("\"cpu\": \"256\", \"memory\": \"512\",", &["Fargate takes only `networkMode` `awsvpc`"]);
    check(
        &format!("{awsvpc} \"cpu\": 256, \"memory\": \"512\","),
        &["the task's `cpu` is a number, which the AWS CLI refuses"],
    );
    check(
        &format!("{awsvpc} \"cpu\": \"much\", \"memory\": \"512\","),
        &["`much` is not a size that ECS takes for `cpu`", "Fargate needs the task's `cpu`"],
    );
}

#[test]
fn containers_must_fit_together() {
    let check = |containers: &str, expected: &[&str]| {
        let told = told("\"memory\": \"512\", \"networkMode\": \"awsvpc\",", containers);
        let messages: Vec<&str> =
            told.iter().filter_map(|told| told.split_once("]: ")).map(|(_, message)| message).collect();
        assert_eq!(messages, expected, "{containers}");
    };
    check("", &["the task definition has no containers"]);
    check(
        "{\"name\": \"a\", \"image\": \"i\", \"essential\": false}",
        &["no container is essential; ECS needs at least one"],
    );
    check(
        "{\"name\": \"a\", \"image\": \"i\"}, {\"name\": \"a\", \"image\": \"i\"}",
        &["two containers have the name `a`"],
    );
    check(
        "{\"name\": \"a\", \"image\": \"i\", \"memory\": 1024, \"memoryReservation\": 2048}",
        &[
            "`memoryReservation` is 2048 MiB, more than the `memory` of 1024 MiB",
            "the container's 1024 MiB are more than the task's 512 MiB",
        ],
    );
    check(
        "{\"name\": \"a\", \"image\": \"i\", \"portMappings\": [{\"containerPort\": 80, \"hostPort\": 8080}]}",
        &["under `awsvpc` the `hostPort` must equal the `containerPort`"],
    );
    check(
        "{\"name\": \"a\", \"image\": \"i\", \"mountPoints\": [{\"sourceVolume\": \"v\", \"containerPath\": \"/v\"}], \"volumesFrom\": [{\"sourceContainer\": \"b\"}]}",
        &["the task has no volume `v`", "the task has no container `b`"],
    );
}

#[test]
fn dependencies_must_be_possible() {
    let check = |containers: &[(&str, &str)], expected: &[&str]| {
        let one = |(name, rest): &(&str, &str)| format!("{{\"name\": \"{name}\", \"image\": \"i\"{rest}}}");
        let containers: Vec<String> = containers.iter().map(one).collect();
        let told = told("", &containers.join(",\n"));
        let messages: Vec<&str> =
            told.iter().filter_map(|told| told.split_once("]: ")).map(|(_, message)| message).collect();
        assert_eq!(messages, expected, "{containers:?}");
    };
    let on = |name: &str, condition: &str| {
        format!(", \"dependsOn\": [{{\"containerName\": \"{name}\", \"condition\": \"{condition}\"}}]")
    };
    check(&[("a", &on("b", "START"))], &["the task has no container `b`"]);
    check(&[("a", &on("b", "HEALTHY")), ("b", "")], &["`b` has no `healthCheck`, so it is never HEALTHY"]);
    check(
        &[("a", &on("b", "SUCCESS")), ("b", "")],
        &["`b` is essential: the task would end with it, so nothing can wait for its end"],
    );
    check(&[("a", &on("b", "COMPLETE")), ("b", ", \"essential\": false")], &[]);
    check(
        &[("a", &on("b", "NEVER")), ("b", "")],
        &["`condition` is `NEVER`; ECS knows START, COMPLETE, SUCCESS, HEALTHY"],
    );
    check(&[("a", &on("a", "START"))], &["the containers wait for each other: `a` → `a`"]);
    check(
        &[
            ("x", &on("a", "START")),
            ("a", &on("b", "START")),
            ("b", &on("c", "START")),
            ("c", &on("a", "START")),
        ],
        &["the containers wait for each other: `a` → `b` → `c` → `a`"],
    );
}

#[test]
fn health_checks() {
    let check = |command: &str, expected: &[&str]| {
        let container =
            format!("{{\"name\": \"a\", \"image\": \"i\", \"healthCheck\": {{\"command\": {command}}}}}");
        let told = told("", &container);
        let messages: Vec<&str> =
            told.iter().filter_map(|told| told.split_once("]: ")).map(|(_, message)| message).collect();
        assert_eq!(messages, expected, "{command}");
    };
    check("[\"CMD\", \"a\"]", &[]);
    check("[\"NONE\"]", &[]);
    check("[]", &["the health check has no `command`"]);
    check("[\"CMD\"]", &["`CMD` takes a program and its arguments"]);
    check("[\"CMD-SHELL\", \"a\", \"b\"]", &["`CMD-SHELL` takes one command line"]);
    check("[\"wget\", \"x\"]", &["a health check's command starts with `CMD` or `CMD-SHELL`, not `wget`"]);
    check("[\"CMD\", \"a\"], \"interval\": 1", &["`interval` is 1; ECS takes 5 to 300"]);
}
