//! What arrives may be made to harm: each way has a limit and an error that says what is wrong.

use minato_kustomize::{FilePath, MemoryFiles, build};

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// Renders `start`, which must be refused with an error of this code.
fn refused(files: &MemoryFiles, start: &str, code: &str) {
    let (objects, diagnostics) = build(files, &FilePath::parse(start).unwrap_or_default());
    assert!(objects.is_empty());
    let codes: Vec<&str> = diagnostics.iter().map(|found| found.code.as_str()).collect();
    assert!(codes.contains(&code), "expected {code}: {diagnostics:?}");
}

fn tree(files: &[(&str, &str)]) -> MemoryFiles {
    MemoryFiles::new(files.iter().copied())
}

#[test]
fn cycles_are_told() {
    refused(&tree(&[("kustomization.yaml", "resources: [.]")]), "", "cycle");
    let two =
        tree(&[("a/kustomization.yaml", "resources: [../b]"), ("b/kustomization.yaml", "resources: [../a]")]);
    refused(&two, "a", "cycle");
    let component = tree(&[
        ("a/kustomization.yaml", "components: [../b]"),
        ("b/kustomization.yaml", "kind: Component\ncomponents: [../b]"),
    ]);
    refused(&component, "a", "cycle");
    let above = tree(&[("kustomization.yaml", "resources: []"), ("a/kustomization.yaml", "resources: [..]")]);
    refused(&above, "a", "cycle");
}

#[test]
fn chains_of_kustomizations_end() {
    let files: Vec<(String, String)> = (0..100)
        .map(|index| (format!("d{index}/kustomization.yaml"), format!("resources: [../d{}]", index + 1)))
        .collect();
    let files = MemoryFiles::new(files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
    refused(&files, "d0", "too-deep");
}

#[test]
fn paths_that_lead_out_are_refused() {
    for field in ["resources", "configurations", "crds", "patchesStrategicMerge"] {
        let text = format!("{field}: [../secret.yaml]");
        let files = tree(&[("secret.yaml", CONFIG_MAP), ("a/kustomization.yaml", &text)]);
        refused(&files, "a", "outside-root");
    }
    let generator = "configMapGenerator: [{name: c, files: [../secret.yaml]}]";
    refused(&tree(&[("secret.yaml", "x"), ("a/kustomization.yaml", generator)]), "a", "outside-root");
    let environment = "secretGenerator: [{name: c, envs: [../secret.env]}]";
    refused(&tree(&[("secret.env", "x"), ("a/kustomization.yaml", environment)]), "a", "outside-root");
    refused(&tree(&[("kustomization.yaml", "resources: [../../x.yaml]")]), "", "outside-tree");
    refused(&tree(&[("kustomization.yaml", "resources: [\"x\\0y\"]")]), "", "outside-tree");
}

#[test]
fn links_are_followed_before_paths_are_judged() {
    let files = tree(&[("secret.yaml", CONFIG_MAP), ("a/kustomization.yaml", "resources: [x.yaml]")]);
    refused(&files.clone().with_link("a/x.yaml", "secret.yaml"), "a", "outside-root");
    refused(&files.with_link("a/x.yaml", "../../etc/passwd"), "a", "unreadable");
    let inside = tree(&[("a/y.yaml", CONFIG_MAP), ("a/kustomization.yaml", "resources: [x.yaml]")]);
    let (objects, diagnostics) =
        build(&inside.with_link("a/x.yaml", "a/y.yaml"), &FilePath::parse("a").unwrap_or_default());
    assert_eq!((objects.len(), diagnostics.len()), (1, 0), "{diagnostics:?}");
    let looped = tree(&[("a/kustomization.yaml", "resources: [b]")]).with_link("a/b", "a");
    refused(&looped, "a", "cycle");
}

#[test]
fn alias_bombs_end() {
    let mut bomb =
        String::from("apiVersion: v1\nkind: X\nmetadata: {name: a}\nb0: &b0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*b{}, ", level - 1).repeat(9);
        bomb.push_str(&format!("b{level}: &b{level} [{}]\n", before.trim_end_matches(", ")));
    }
    let files = tree(&[("kustomization.yaml", "resources: [x.yaml]"), ("x.yaml", &bomb)]);
    let (objects, diagnostics) = build(&files, &FilePath::root());
    assert!(
        objects.is_empty() && diagnostics.iter().any(|found| found.message.contains("aliases")),
        "{diagnostics:?}"
    );
}

#[test]
fn deep_nesting_ends() {
    let deep = format!("{CONFIG_MAP}x: {}1{}\n", "[".repeat(5000), "]".repeat(5000));
    let files = tree(&[("kustomization.yaml", "resources: [x.yaml]"), ("x.yaml", &deep)]);
    let (objects, diagnostics) = build(&files, &FilePath::root());
    assert!(objects.is_empty() && !diagnostics.is_empty());
    let patch = format!("patches:\n- patch: '{}'\n", "[".repeat(5000));
    assert!(build(&tree(&[("kustomization.yaml", &patch)]), &FilePath::root()).0.is_empty());
}

#[test]
fn huge_files_are_refused() {
    let huge = vec![b'#'; 33 * 1024 * 1024];
    let kustomization = b"resources: [x.yaml]".to_vec();
    refused(&MemoryFiles::new([("kustomization.yaml", kustomization), ("x.yaml", huge)]), "", "unreadable");
}

#[test]
fn two_overlays_of_two_overlays_of_two_overlays_end() {
    // Each level doubles: 2^29 copies of the base.
    let base = "configMapGenerator: [{name: c, files: [x.txt]}]".to_owned();
    let mut files = vec![("b0/kustomization.yaml".to_owned(), base)];
    files.push(("b0/x.txt".to_owned(), "y".repeat(16 * 1024 * 1024)));
    for level in 1..30 {
        for side in ["l", "r"] {
            let below = if level == 1 {
                vec!["../b0".to_owned()]
            } else {
                ["l", "r"].map(|side| format!("../{side}{}", level - 1)).to_vec()
            };
            let text = format!("namePrefix: {side}-\nresources: [{}]", below.join(", "));
            files.push((format!("{side}{level}/kustomization.yaml"), text));
        }
    }
    let files = MemoryFiles::new(files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
    refused(&files, "l29", "too-much");
}

#[test]
fn definitions_that_refer_to_themselves_end() {
    let crd = "a.B: {Schema: {properties: {kind: {}, apiVersion: {}, metadata: {}, x: {$ref: a.B}, y: {$ref: a.B}}}}";
    let files = tree(&[("kustomization.yaml", "crds: [c.yaml]"), ("c.yaml", crd)]);
    refused(&files, "", "crd-depth");
}

#[test]
fn plugins_are_refused_and_nothing_runs() {
    let program = "transformers:\n- |-\n  apiVersion: example.com/v1\n  kind: Program\n  metadata: {name: x}";
    refused(&tree(&[("kustomization.yaml", program)]), "", "plugin-program");
    refused(&tree(&[("kustomization.yaml", "helmCharts: [{name: x}]")]), "", "helm-charts");
    for remote in ["https://example.com/x.yaml", "github.com/a/b?ref=main", "git@example.com:a/b.git"] {
        let text = format!("resources: ['{remote}']");
        refused(&tree(&[("kustomization.yaml", &text)]), "", "remote-resource");
    }
}
