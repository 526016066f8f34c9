use super::*;
use crate::tree::MemoryTree;
use minato_resource::SourceFile;
use std::sync::Arc;

const APPLICATION: &str =
    "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec: {}\n";
const TASK: &str = "// comment\n{\"family\": \"web\", \"containerDefinitions\": [{\"name\": \"web\"}]}";
const SERVICE: &str = "{\"serviceName\": \"web\", \"taskDefinition\": \"web\"}";

fn found(files: &[(&str, &str)]) -> String {
    let tree = MemoryTree::new(files.iter().copied());
    let configuration = files.iter().find(|(path, _)| *path == "minato.yaml").map(|(path, text)| {
        let (configuration, diagnostics) = Configuration::parse(&Arc::new(SourceFile::new(*path, *text)));
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        configuration
    });
    match discover(&tree, &configuration.unwrap_or_default(), None) {
        Ok(Deployment::Application(path)) => format!("application {path}"),
        Ok(Deployment::Manifests { path, recurse }) => format!("manifests {path} {recurse}"),
        Ok(Deployment::Kustomization(path)) => format!("kustomization {path}"),
        Ok(Deployment::Ecs(paths)) => format!("ecs {}", listed(&paths)),
        Ok(Deployment::Dockerfile(path)) => format!("dockerfile {path}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_rank_comes_before_the_ones_below() {
    let ranks: [(&str, &str, &str); 6] = [
        ("minato.yaml", "version: 1\ndeploy: deploy.yaml\n", "manifests deploy.yaml false"),
        ("argocd/app.yaml", APPLICATION, "application argocd/app.yaml"),
        ("overlay/kustomization.yaml", "", "kustomization overlay"),
        ("k8s/web.yaml", "", "manifests k8s true"),
        ("ecs.json", TASK, "ecs ecs.json"),
        ("Dockerfile", "FROM scratch\n", "dockerfile Dockerfile"),
    ];
    for first in 0..ranks.len() {
        let mut files: Vec<(&str, &str)> =
            ranks[first..].iter().map(|(path, text, _)| (*path, *text)).collect();
        files.push(("deploy.yaml", "a: 1\n"));
        assert_eq!(found(&files), ranks[first].2);
    }
}

#[test]
fn a_kustomization_comes_before_plain_manifests() {
    let base = ("k8s/base/kustomization.yaml", "");
    assert_eq!(found(&[base, ("k8s/base/web.yaml", "")]), "kustomization k8s/base");
    assert_eq!(found(&[base, ("kustomization.yml", "")]), "kustomization .");
    assert_eq!(found(&[("argocd/app.yaml", APPLICATION), base]), "application argocd/app.yaml");
    let overlay = ("k8s/prod/kustomization.yaml", "");
    assert_eq!(
        found(&[("minato.yaml", "version: 1\ndeploy: k8s/prod\n"), base, overlay]),
        "kustomization k8s/prod"
    );
    assert_eq!(
        found(&[base, overlay]),
        "2 kustomizations could be meant: k8s/base/kustomization.yaml, k8s/prod/kustomization.yaml; choose one with \
         `deploy: PATH` in minato.yaml, or with --app DIR"
    );
}

#[test]
fn a_chart_is_refused_by_name() {
    assert_eq!(
        found(&[("minato.yaml", "version: 1\ndeploy: chart\n"), ("chart/Chart.yaml", "")]),
        "chart/Chart.yaml: Helm charts are not rendered yet; name plain manifests or a kustomization with `path` in the \
         Application, or with `deploy: PATH` in minato.yaml"
    );
}

#[test]
fn two_of_one_rank_are_listed() {
    assert_eq!(
        found(&[("a/app.yaml", APPLICATION), ("b/app.yaml", APPLICATION), ("Dockerfile", "")]),
        "2 Applications could be meant: a/app.yaml, b/app.yaml; choose one with `deploy: PATH` in minato.yaml, or with \
         --app FILE"
    );
    assert_eq!(
        found(&[("a.json", TASK), ("b.json", TASK)]),
        "2 ECS task definitions could be meant: a.json, b.json; choose one with `deploy: PATH` in minato.yaml"
    );
    assert_eq!(
        found(&[("a/Dockerfile", ""), ("b/Dockerfile", "")]),
        "2 Dockerfiles could be meant: a/Dockerfile, b/Dockerfile; choose one with `deploy: PATH` in minato.yaml, or with \
         `images`"
    );
}

#[test]
fn hidden_and_vendored_folders_are_not_looked_into() {
    let files = [
        (".git/app.yaml", APPLICATION),
        ("node_modules/x/app.yaml", APPLICATION),
        ("target/app.yaml", APPLICATION),
        ("vendor/app.yaml", APPLICATION),
        (".terraform/app.yaml", APPLICATION),
    ];
    assert!(found(&files).contains("nothing to deploy"), "{}", found(&files));
}

#[test]
fn a_task_definition_and_its_service_belong_together() {
    assert_eq!(
        found(&[("service.json", SERVICE), ("task.json", TASK), ("package.json", "{}")]),
        "ecs task.json, service.json"
    );
    assert!(found(&[("service.json", SERVICE)]).contains("nothing to deploy"));
}

#[test]
fn other_argo_kinds_and_broken_files_are_no_applications() {
    let files = [
        ("set.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: web}\n"),
        (
            "chart/templates/app.yaml",
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{ .x }}\n",
        ),
        ("Dockerfile", ""),
    ];
    assert_eq!(found(&files), "dockerfile Dockerfile");
}

#[test]
fn the_dockerfile_is_the_one_at_the_root_or_the_only_one() {
    assert_eq!(found(&[("Dockerfile", ""), ("tools/Dockerfile", "")]), "dockerfile Dockerfile");
    assert_eq!(found(&[("app/Dockerfile", "")]), "dockerfile app/Dockerfile");
    let configured = "version: 1\nimages: [{name: web, context: app, dockerfile: web.Dockerfile}]\n";
    assert_eq!(found(&[("minato.yaml", configured), ("Dockerfile", "")]), "dockerfile app/web.Dockerfile");
}

#[test]
fn what_is_named_must_be_there_and_inside() {
    let named = |deploy: &str| {
        found(&[("minato.yaml", &format!("version: 1\ndeploy: {deploy}\n")), ("task.json", TASK)])
    };
    assert_eq!(named("task.json"), "ecs task.json");
    assert_eq!(named("other"), "`deploy` in minato.yaml names `other`, which does not exist in .");
    assert_eq!(named("../other"), "`deploy` in minato.yaml: `../other` leads out of the repository");
    assert_eq!(
        named("/etc"),
        "`deploy` in minato.yaml: `/etc` is an absolute path; write it relative to the repository's root"
    );
}
