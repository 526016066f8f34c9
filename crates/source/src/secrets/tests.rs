use super::*;
use crate::tree::MemoryTree;
use minato_resource::SourceFile;
use std::sync::Arc;

fn secrets(configuration: &str, files: &[(&str, &str)], environment: &[(&str, &str)]) -> LocalSecrets {
    let (configuration, told) =
        Configuration::parse(&Arc::new(SourceFile::new("minato.yaml", configuration)));
    assert!(told.is_empty(), "{told:?}");
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    LocalSecrets::read(&configuration, &MemoryTree::new(files.iter().copied()), environment).unwrap().0
}

fn reference(name: &str, key: Option<&str>) -> SecretReference {
    SecretReference { namespace: "default".to_owned(), name: name.to_owned(), key: key.map(str::to_owned) }
}

const FILE: &str = "version: 1\nsecrets: {env_file: local.env}\n";
const ENVIRONMENT: &str = "version: 1\nsecrets: {environment: true}\n";

#[test]
fn values_come_from_the_named_file() {
    let secrets =
        secrets(FILE, &[("local.env", "db/url=one\nOTHER_KEY=two\narn:x=three\n")], &[("DB_URL", "no")]);
    let value = |name: &str, key: Option<&str>| {
        secrets.get(&reference(name, key)).map(|value| value.expose().to_vec())
    };
    assert_eq!(value("db", Some("url")), Some(b"one".to_vec()));
    assert_eq!(value("other", Some("key")), Some(b"two".to_vec()));
    assert_eq!(value("arn:x", None), Some(b"three".to_vec()));
    assert_eq!(value("db", Some("password")), None);
}

#[test]
fn values_come_from_the_environment() {
    let secrets = secrets(ENVIRONMENT, &[], &[("DB_URL", "one")]);
    assert_eq!(secrets.get(&reference("db", Some("url"))).map(SecretValue::expose), Some(&b"one"[..]));
}

#[test]
fn the_keys_of_a_secret() {
    let file = secrets(
        FILE,
        &[("local.env", "db/url=1\ndefault/db/user=2\nother/db/no=3\ndbx/y=4\ndb/a/b=5\n")],
        &[],
    );
    assert_eq!(file.keys("default", "db"), ["url", "user"]);
    assert_eq!(file.keys("default", "none"), [""; 0]);
    let environment = secrets(ENVIRONMENT, &[], &[("MY_DB_URL", "1"), ("MY_DBX", "2")]);
    assert_eq!(environment.keys("default", "my-db"), ["URL"]);
}

#[test]
fn a_missing_value_says_how_to_give_it() {
    let missing = reference("db", Some("url"));
    let check = |secrets: LocalSecrets, expected: &str| assert_eq!(secrets.how_to_give(&missing), expected);
    check(secrets(FILE, &[("local.env", "")], &[]), "add a line `db/url=VALUE` to local.env");
    check(secrets(ENVIRONMENT, &[], &[]), "set the environment variable DB_URL");
    check(
        LocalSecrets::default(),
        "write a line `db/url=VALUE` into a file, keep it out of Git, and name it in minato.yaml: `secrets: {env_file: FILE}`",
    );
}

#[test]
fn debug_output_has_names_only() {
    let text = format!("{:?}", secrets(FILE, &[("local.env", "db/url=hush\n")], &[]));
    assert!(text.contains("db/url") && !text.contains("hush"), "{text}");
    assert!(!format!("{:?}", secrets(ENVIRONMENT, &[], &[("A", "hush")])).contains("hush"));
}

#[test]
fn a_file_outside_is_refused() {
    let (configuration, _) = Configuration::parse(&Arc::new(SourceFile::new(
        "minato.yaml",
        "version: 1\nsecrets: {env_file: ../x.env}\n",
    )));
    let error = LocalSecrets::read(&configuration, &MemoryTree::default(), []).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`secrets.env_file` in minato.yaml: `../x.env` leads out of the repository"
    );
}
