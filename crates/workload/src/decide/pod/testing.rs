//! Specs for tests.

use minato_oci::Digest;

use crate::spec::{
    Container, ImageUse, Limits, Pod, Restart, Run, Security, Strategy, Workload, WorkloadKey,
};

/// A container that is always restarted.
pub(crate) fn container(name: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: ImageUse { id: Digest::sha256(name), layers: Vec::new(), reference: format!("{name}:1") },
        args: vec!["/app".to_owned()],
        env: Vec::new(),
        cwd: String::new(),
        user: String::new(),
        extra_groups: Vec::new(),
        limits: Limits::default(),
        security: Security::default(),
        mounts: Vec::new(),
        startup: None,
        readiness: None,
        liveness: None,
        post_start: None,
        pre_stop: None,
        depends_on: Vec::new(),
        essential: false,
        restart: Restart::Always,
        sidecar: false,
        stop_signal: String::new(),
        stop_timeout_seconds: None,
        ports: Vec::new(),
    }
}

/// A pod of these containers with a grace of 30 s.
pub(crate) fn pod(init: Vec<Container>, containers: Vec<Container>) -> Pod {
    Pod { init, containers, grace_seconds: 30, ..Pod::default() }
}

/// A rolling workload "app: default/web".
pub(crate) fn workload(replicas: u32, max_surge: u32, max_unavailable: u32) -> Workload {
    Workload {
        key: WorkloadKey { application: "app".into(), namespace: "default".into(), name: "web".into() },
        replicas,
        strategy: Strategy::Rolling { max_surge, max_unavailable },
        min_ready_seconds: 0,
        soak_seconds: 10,
        progress_deadline_seconds: 60,
        pod: pod(Vec::new(), vec![container("web")]),
        run: Run::Forever,
        annotations: std::collections::BTreeMap::new(),
    }
}
