//! Errors say which file and line, what was looked for, and what is near.

use minato_kustomize::{FilePath, MemoryFiles, build};
use minato_resource::Diagnostic;

/// The one error of a kustomization beside a ConfigMap `settings` and a Deployment `web`, with its hint.
fn check(kustomization: &str, expected: &str, hint: &str) {
    let resources = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {port: '80'}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    let files = MemoryFiles::new([("kustomization.yaml", kustomization), ("all.yaml", resources)]);
    let (_, diagnostics) = build(&files, &FilePath::root());
    let errors: Vec<String> =
        diagnostics.iter().filter(|found| found.is_error()).map(Diagnostic::to_string).collect();
    assert_eq!(errors, [expected]);
    assert_eq!(diagnostics.iter().find_map(|found| found.hint.clone()).unwrap_or_default(), hint);
}

#[test]
fn a_misspelt_field_has_a_neighbour() {
    check(
        "resources: [all.yaml]\nnamePrefx: a-\n",
        "kustomization.yaml:2:1: error[unknown-field]: a kustomization has no field `namePrefx`",
        "did you mean `namePrefix`?",
    );
    check(
        "resources: [all.yaml]\nimages:\n- name: a\n  newtags: b\n",
        "kustomization.yaml:4:3: error[unknown-field]: an image has no field `newtags`",
        "did you mean `newTag`?",
    );
}

#[test]
fn a_missing_file_has_a_neighbour() {
    check(
        "resources:\n- al.yaml\n",
        "kustomization.yaml:2:3: error[missing-file]: `al.yaml` is not there: there is no al.yaml",
        "did you mean `all.yaml`?",
    );
}

#[test]
fn a_patch_without_a_target_has_a_neighbour() {
    check(
        "resources: [all.yaml]\npatches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: wep}\n",
        "kustomization.yaml:3:3: error[missing-target]: there is no `apps/Deployment wep` for the patch",
        "did you mean `web`?",
    );
    check(
        "resources: [all.yaml]\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: Deployment\n    metadata: {name: web}\n",
        "kustomization.yaml:3:3: error[missing-target]: there is no `Deployment web` for the patch",
        "there is one of this name with apiVersion `apps/v1` and kind `Deployment`",
    );
}

#[test]
fn a_replacement_says_which_field_is_missing() {
    check(
        "resources: [all.yaml]\nreplacements:\n- source: {kind: ConfigMap, fieldPath: data.prot}\n  targets: []\n",
        "kustomization.yaml:3:3: error[missing-field]: `ConfigMap settings` has no field `data.prot`",
        "did you mean `port`?",
    );
}

#[test]
fn numbers_that_should_be_texts_say_how_to_write_them() {
    check(
        "resources: [all.yaml]\nimages: [{name: a, newTag: 1.20}]\n",
        "kustomization.yaml:2:28: error[wrong-type]: expected a string, found a number",
        "write it in quotes: \"1.20\"",
    );
}

#[test]
fn a_json_patch_says_which_operation_fails() {
    check(
        "resources: [all.yaml]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/x/y, value: 1}\n",
        "kustomization.yaml:3:3: error[patch]: `apps/Deployment web`: operation 1 (replace): there is no `/spec/x/y`",
        "",
    );
}

#[test]
fn what_is_there_twice_says_where_first() {
    check(
        "resources:\n- all.yaml\n- ./all.yaml\n",
        "kustomization.yaml:3:3: error[duplicate-resource]: `ConfigMap settings` is there twice, first in all.yaml:1:1",
        "",
    );
}
