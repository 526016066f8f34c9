//! Lowering: `testdata/lower/CASE/input.yaml` (or `input.json`, an ECS document) → `expected.json`, the workloads and
//! services, and `expected.txt`, what is said. With `MINATO_BLESS=1` the expected files are written anew, to be looked at before they
//! are committed. Secrets that no Object holds are `vault/key`, `vault/other` and the ARN ending in `:given`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use minato_local::{Inputs, Options, lower};
use minato_oci::{ContainerConfig, Digest, Image, ImageConfig, RootFs};
use minato_resource::{Diagnostic, Object, SourceFile, parse_yaml};
use minato_sync::{ApplicationName, SecretReference, SecretValue};
use serde_json::{Value, json};

#[test]
fn every_case_is_lowered_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lower");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|case| case.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10);
    cases.iter().for_each(|case| check(case));
}

fn check(case: &Path) {
    let (objects, mut said) = read(case);
    let (application, options) = ("shop".parse::<ApplicationName>().unwrap(), options());
    let (secrets, images) = (secrets(), images());
    let inputs = Inputs {
        application: &application,
        objects: &objects,
        secrets: &secrets,
        images: &images,
        options: &options,
    };
    let mut lowered = BTreeMap::new();
    for object in &objects {
        let (result, diagnostics) = lower(object, &inputs);
        said.extend(diagnostics);
        let Some(result) = result else { continue };
        let parts = json!({"workload": result.workload, "service": result.service});
        if parts.as_object().unwrap().values().any(|part| !part.is_null()) {
            lowered.insert(object.key().to_string(), parts);
        }
    }
    expect(case, "expected.json", &format!("{:#}\n", compact(json!(lowered))));
    expect(case, "expected.txt", &lines(&said));
}

fn read(case: &Path) -> (Vec<Object>, Vec<Diagnostic>) {
    let file = |name: &str, text: String| Arc::new(SourceFile::new(name, text));
    match fs::read_to_string(case.join("input.yaml")) {
        Ok(text) => parse_yaml(&file("input.yaml", text)),
        Err(_) => {
            let text = fs::read_to_string(case.join("input.json")).unwrap();
            let (mut objects, mut said) = minato_task_definition::parse(&file("input.json", text));
            if let Ok(text) = fs::read_to_string(case.join("service.json")) {
                let (services, more) = minato_task_definition::parse(&file("service.json", text));
                objects.extend(services);
                said.extend(more);
            }
            (objects, said)
        }
    }
}

fn lines(said: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in said {
        writeln!(text, "{diagnostic}").unwrap();
        diagnostic.hint.iter().for_each(|hint| writeln!(text, "    {hint}").unwrap());
    }
    text
}

/// Leaves out what is empty, so that the expected files show what matters.
fn compact(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, value)| (key, compact(value))).filter(|(_, value)| {
                !matches!(value, Value::Null | Value::Bool(false))
                    && value.as_array().is_none_or(|items| !items.is_empty())
                    && value.as_str() != Some("")
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(compact).collect()),
        scalar => scalar,
    }
}

fn expect(case: &Path, name: &str, actual: &str) {
    let path = case.join(name);
    if std::env::var("MINATO_BLESS").is_ok() {
        fs::write(&path, actual).unwrap();
    }
    assert_eq!(actual, fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

fn options() -> Options {
    Options { volumes: "/data/volumes".into(), ..Options::default() }
}

fn secrets() -> BTreeMap<SecretReference, SecretValue> {
    let reference = |namespace: &str, name: &str, key: Option<&str>| SecretReference {
        namespace: namespace.into(),
        name: name.into(),
        key: key.map(str::to_owned),
    };
    BTreeMap::from([
        (reference("default", "vault", Some("key")), SecretValue::new(*b"from-vault")),
        (reference("default", "vault", Some("other")), SecretValue::new(*b"other-from-vault")),
        (
            reference("", "arn:aws:secretsmanager:eu-central-1:1:secret:given", None),
            SecretValue::new(*b"from-arn"),
        ),
    ])
}

/// `web:1` says everything an image can say, `scratch:1` nothing, `named:1` has a user by name.
fn images() -> BTreeMap<String, Image> {
    let web = ContainerConfig {
        user: "1000:1000".into(),
        env: vec!["PATH=/bin".into(), "FROM_IMAGE=yes".into()],
        entrypoint: Some(vec!["/entry".into()]),
        cmd: Some(vec!["serve".into()]),
        working_dir: "/srv".into(),
        stop_signal: Some("SIGQUIT".into()),
        ..ContainerConfig::default()
    };
    let named = ContainerConfig { user: "app".into(), ..web.clone() };
    let image = |name: &str, config: ContainerConfig| {
        let rootfs = RootFs { diff_ids: vec![Digest::sha256("layer")] };
        let config = ImageConfig { config, rootfs, ..ImageConfig::default() };
        (name.to_owned(), Image { id: Digest::sha256(name), config })
    };
    BTreeMap::from([
        image("web:1", web),
        image("scratch:1", ContainerConfig::default()),
        image("named:1", named),
    ])
}
