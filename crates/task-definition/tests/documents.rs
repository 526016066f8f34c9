//! Files of ECS documents become objects, and what is wrong is told at its line.

use std::sync::Arc;

use minato_resource::SourceFile;
use minato_task_definition::{DocumentKind, kind_of, parse};

/// Keys of the objects, then the diagnostics.
fn read(path: &str, text: &str) -> Vec<String> {
    let (objects, diagnostics) = parse(&Arc::new(SourceFile::new(path, text)));
    let keys = objects.iter().map(|object| object.key().to_string());
    keys.chain(diagnostics.iter().map(ToString::to_string)).collect()
}

#[test]
fn the_shapes_that_files_have() {
    let check = |text: &str, expected: &[&str]| assert_eq!(read("a.json", text), expected, "{text}");
    let task = r#"{"family": "web", "containerDefinitions": []}"#;
    let service = r#"{"serviceName": "web", "taskDefinition": "web:3"}"#;
    check(task, &["ecs.amazonaws.com/TaskDefinition web"]);
    check(service, &["ecs.amazonaws.com/Service web"]);
    check(&format!(r#"{{"taskDefinition": {task}, "tags": []}}"#), &["ecs.amazonaws.com/TaskDefinition web"]);
    check(&format!(r#"{{"services": [{service}], "failures": []}}"#), &["ecs.amazonaws.com/Service web"]);
    check(&format!(r#"{{"service": {service}}}"#), &["ecs.amazonaws.com/Service web"]);
    check(
        r#"{"taskDefinition": "arn:aws:ecs:eu-central-1:1:task-definition/web:7", "desiredCount": 2}"#,
        &["ecs.amazonaws.com/Service web"],
    );
    check(
        &format!("// registered by the pipeline\n/* twice */ {task} // end"),
        &["ecs.amazonaws.com/TaskDefinition web"],
    );
    check(
        &format!("{task}\n{service}"),
        &["ecs.amazonaws.com/TaskDefinition web", "ecs.amazonaws.com/Service web"],
    );
    check("", &[]);
}

#[test]
fn yaml_is_read_by_the_files_name() {
    assert_eq!(
        read("a.yaml", "family: web\ncontainerDefinitions:\n- name: web\n"),
        ["ecs.amazonaws.com/TaskDefinition web"]
    );
    assert!(read("a.json", "family: web\n")[0].contains("error[json-syntax]"));
}

#[test]
fn what_is_no_document_is_told() {
    let check = |text: &str, expected: &str| assert_eq!(read("a.json", text), [expected], "{text}");
    check(
        "{\n  \"name\": \"x\"\n}",
        "a.json:2:3: error[ecs-document]: this is neither an ECS task definition (it has no `containerDefinitions`) nor a \
         service (no `serviceName`), but a mapping",
    );
    check(
        "{\n  \"containerDefinitions\": []}",
        "a.json:2:3: error[ecs-missing]: the task definition has no `family`",
    );
    check(
        "{\"family\": \"\",\n\"containerDefinitions\": []}",
        "a.json:1:12: error[ecs-missing]: the task definition has no `family`",
    );
    check(
        "{\"family\": \"a\",}",
        "a.json:1:16: error[json-syntax]: expected a key in double quotes, found `}`",
    );
}

#[test]
fn a_repeated_key_is_refused() {
    let text = "{\"family\": \"a\", \"family\": \"b\", \"containerDefinitions\": []}";
    assert_eq!(
        read("a.json", text),
        [
            "ecs.amazonaws.com/TaskDefinition a",
            "a.json:1:17: error[duplicate-key]: the key `family` appears twice in this mapping"
        ]
    );
}

#[test]
fn documents_are_told_from_other_json() {
    let check = |text: &str, expected: Option<DocumentKind>| {
        assert_eq!(kind_of(&Arc::new(SourceFile::new("a.json", text))), expected, "{text}");
    };
    check(r#"{"containerDefinitions": []}"#, Some(DocumentKind::TaskDefinition));
    check(r#"{"serviceName": "a"}"#, Some(DocumentKind::Service));
    check(r#"{"name": "package", "dependencies": {}}"#, None);
    check(r#"{"taskDefinition": "a"}"#, None);
    check("[1, 2]", None);
    check("not json", None);
}

#[test]
fn the_document_is_kept_as_it_is() {
    let text = r#"{"family": "web", "containerDefinitions": [{"name": "a", "futureField": {"x": [1, null]}}], "other": 1}"#;
    let (objects, _) = parse(&Arc::new(SourceFile::new("a.json", text)));
    let expected: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(objects[0].get("/spec"), Some(&expected));
    let origin = objects[0].origin().unwrap();
    assert_eq!(origin.file.slice(origin.span("/spec/containerDefinitions/0/futureField/x/0")), "1");
}
