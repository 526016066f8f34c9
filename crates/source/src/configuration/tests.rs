use super::*;
use serde_json::Value;

fn parse(text: &str) -> (Configuration, Vec<String>) {
    let (configuration, diagnostics) = Configuration::parse(&Arc::new(SourceFile::new("minato.yaml", text)));
    let told = diagnostics.iter().map(|found| match &found.hint {
        Some(hint) => format!("{found} ({hint})"),
        None => found.to_string(),
    });
    (configuration, told.collect())
}

#[test]
fn everything_that_can_be_said() {
    let text = "version: 1\nimages:\n- name: ghcr.io/example/myapp\n  context: app\n  dockerfile: build/Dockerfile\n  \
                target: runner\n- name: web\ndeploy: k8s\nsecrets: {env_file: x.env}\nallow: [root-user]\n";
    let (configuration, told) = parse(text);
    assert_eq!(told, [""; 0]);
    let [first, second] = configuration.images.as_slice() else { panic!("{configuration:?}") };
    assert_eq!(first.name.as_ref().unwrap().value.name(), "ghcr.io/example/myapp");
    assert_eq!((first.context.as_str(), first.dockerfile.as_str()), ("app", "build/Dockerfile"));
    assert_eq!(first.target.as_deref(), Some("runner"));
    assert_eq!((second.context.as_str(), second.dockerfile.as_str()), (".", "Dockerfile"));
    assert_eq!(configuration.deploy.unwrap().value, "k8s");
    assert!(matches!(configuration.secrets, Some(SecretsFrom::EnvFile(file)) if file.value == "x.env"));
    assert_eq!(configuration.allow[0].value, "root-user");
}

#[test]
fn an_empty_file_says_nothing() {
    assert_eq!(parse("").1, [""; 0]);
    assert_eq!(parse("# later\n").1, [""; 0]);
}

#[test]
fn mistakes_have_a_place_and_the_nearest_word() {
    let check = |text: &str, expected: &str| assert_eq!(parse(text).1, [expected], "{text}");
    check(
        "version: 1\nimage: []\n",
        "minato.yaml:2:1: error[minato-yaml]: minato.yaml has no key `image`; it knows version, images, deploy, secrets, \
         allow (did you mean `images`?)",
    );
    check("deploy: x\n", "minato.yaml:1:1: error[minato-yaml]: `version` is missing; write `version: 1`");
    check(
        "version: 2\n",
        "minato.yaml:1:10: error[minato-yaml]: this program reads version 1 of minato.yaml",
    );
    check(
        "version: \"1\"\n",
        "minato.yaml:1:10: error[minato-yaml]: this program reads version 1 of minato.yaml",
    );
    check("[]", "minato.yaml:1:1: error[minato-yaml]: minato.yaml must be a mapping, not a list");
    check(
        "version: 1\nimages:\n- context: .\n",
        "minato.yaml:3:3: error[minato-yaml]: the image has no `name`: the repository that the manifests use",
    );
    check(
        "version: 1\nimages:\n- name: web:1.0\n",
        "minato.yaml:3:9: error[minato-yaml]: write the name without tag and digest, `docker.io/library/web`: the tag is \
         the commit",
    );
    check(
        "version: 1\nimages:\n- name: a\n- name: docker.io/library/a\n",
        "minato.yaml:4:9: error[minato-yaml]: two images have the name `a`",
    );
    check("version: 1\ndeploy:\n", "minato.yaml:2:1: error[minato-yaml]: `deploy` must be text, not null");
    check(
        "version: 1\nsecrets: {env_file: a, environment: true}\n",
        "minato.yaml:2:10: error[minato-yaml]: `secrets` takes `env_file` or `environment`, not both",
    );
    check(
        "version: 1\nallow: [1]\n",
        "minato.yaml:2:9: error[minato-yaml]: a rule's name is text, not a number",
    );
    check(
        "version: 1\n---\nversion: 1\n",
        "minato.yaml:3:1: error[minato-yaml]: minato.yaml holds one document; this is a second one",
    );
}

#[test]
fn the_schema_knows_the_same_keys() {
    let text = include_str!("../../../../schema/minato.schema.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    let check = |pointer: &str, keys: &[&str]| {
        let properties = schema.pointer(pointer).and_then(Value::as_object).unwrap();
        assert_eq!(properties.keys().map(String::as_str).collect::<Vec<_>>(), keys, "{pointer}");
    };
    check("/properties", &KEYS);
    check("/properties/images/items/properties", &IMAGE_KEYS);
    check("/properties/secrets/properties", &SECRETS_KEYS);
    assert_eq!(schema.pointer("/properties/version/const"), Some(&Value::from(VERSION)));
}
