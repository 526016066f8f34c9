//! How many small overlays a second are rendered within one process on one core (`bench/render repeated`): 100 different
//! ones over a base of a Deployment, a Service and a ConfigMap, from memory to YAML, for two seconds. Prints the number.

#![allow(clippy::print_stdout, reason = "the figure is what it is for")]

use std::time::{Duration, Instant};

use minato_kustomize::{FilePath, MemoryFiles, build};
use minato_resource::{Object, emit};

const BASE: [(&str, &str); 4] = [
    ("base/kustomization.yaml", "resources: [deployment.yaml, service.yaml, config.yaml]\n"),
    (
        "base/deployment.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  selector:\n    matchLabels: {app: web}\n  \
         template:\n    metadata:\n      labels: {app: web}\n    spec:\n      containers:\n      - name: web\n        image: nginx:1.25\n        \
         envFrom:\n        - configMapRef: {name: settings}\n",
    ),
    (
        "base/service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports:\n  - port: 80\n",
    ),
    ("base/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {host: web}\n"),
];

fn main() {
    let trees: Vec<MemoryFiles> = (0..100).map(tree).collect();
    let Some(folder) = FilePath::parse("overlay") else { return };
    let (mut rendered, mut bytes) = (0u64, 0usize);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        for tree in &trees {
            let (objects, _) = build(tree, &folder);
            bytes += emit::to_yaml_documents(objects.iter().map(Object::value)).len();
            rendered += 1;
        }
    }
    assert!(bytes as u64 > rendered * 500, "they were rendered");
    println!("{:.0}", rendered as f64 / began.elapsed().as_secs_f64());
}

fn tree(number: usize) -> MemoryFiles {
    let kustomization = format!(
        "namespace: team{number}\nnamePrefix: stage{number}-\nresources: [../base]\nimages:\n- {{name: nginx, newTag: '{number}'}}\n\
         patches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata:\n      name: web\n    spec:\n      replicas: {number}\n"
    );
    let own = [("overlay/kustomization.yaml", kustomization.as_str())];
    MemoryFiles::new(BASE.iter().copied().chain(own))
}
