//! An application that a test can make behave: one static server, a Dockerfile, a Deployment and a Service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// A folder as a user would have it.
pub struct Application {
    folder: TempDir,
}

/// What one version of the application is and does.
#[derive(Clone, Debug)]
pub struct Version {
    pub version: String,
    /// A behaviour of `tests/application/server.rs`.
    pub behaviour: String,
    pub start_milliseconds: u32,
    pub command: String,
    pub replicas: u32,
    pub progress_deadline_seconds: u32,
    /// How long the first replica of a new version must stay ready before it gets requests.
    pub soak_seconds: u32,
    /// Whether there is a ConfigMap, mounted as a volume.
    pub settings: bool,
}

impl Version {
    /// A version that starts at once and does what it should.
    pub fn good(version: &str) -> Version {
        Version {
            version: version.into(),
            behaviour: "good".into(),
            start_milliseconds: 0,
            command: "/application".into(),
            replicas: 2,
            progress_deadline_seconds: 30,
            soak_seconds: 10,
            settings: false,
        }
    }

    pub fn starting_slowly(self, start_milliseconds: u32) -> Version {
        Version { start_milliseconds, ..self }
    }

    /// A version that is trusted after one second, for tests that are about something else.
    pub fn soaking_shortly(self) -> Version {
        Version { soak_seconds: 1, ..self }
    }

    pub fn with_settings(self) -> Version {
        Version { settings: true, ..self }
    }

    pub fn behaving(self, behaviour: &str) -> Version {
        Version { behaviour: behaviour.into(), ..self }
    }
}

impl Application {
    /// A folder with the first version in it; the folder's name is the application's.
    pub fn new(version: &Version) -> Application {
        let application = Application { folder: tempfile::Builder::new().prefix("app-").tempdir().unwrap() };
        fs::create_dir(application.path().join("k8s")).unwrap();
        fs::copy(program(), application.path().join("application")).unwrap();
        fs::write(application.path().join("Dockerfile"), DOCKERFILE).unwrap();
        application.write(version);
        application
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Builds the image on another one, in which there is a shell.
    pub fn build_on(&self, base: &str) {
        let steps = format!("FROM {base}\nRUN echo built > /built\n");
        let dockerfile = DOCKERFILE.replace("FROM scratch\n", &steps);
        fs::write(self.path().join("Dockerfile"), dockerfile).unwrap();
    }

    /// Makes this the version in the folder.
    pub fn write(&self, wanted: &Version) {
        let Version { version, behaviour, start_milliseconds, command, replicas, .. } = wanted;
        let Version { progress_deadline_seconds, soak_seconds, settings, .. } = wanted;
        let (volume, config_map) = if *settings { (VOLUME, CONFIG_MAP) } else { ("", "") };
        let text = [MANIFESTS, config_map]
            .concat()
            .replace("          VOLUME_VALUE\n", volume)
            .replace("VERSION_VALUE", version)
            .replace("BEHAVIOUR_VALUE", behaviour)
            .replace("START_VALUE", &start_milliseconds.to_string())
            .replace("COMMAND_VALUE", command)
            .replace("REPLICAS_VALUE", &replicas.to_string())
            .replace("DEADLINE_VALUE", &progress_deadline_seconds.to_string())
            .replace("SOAK_VALUE", &soak_seconds.to_string());
        fs::write(self.path().join("k8s/application.yaml"), text).unwrap();
    }
}

const DOCKERFILE: &str = "FROM scratch
COPY application /application
USER 65532:65532
EXPOSE 8080
ENTRYPOINT [\"/application\"]
";

const MANIFESTS: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  annotations: {minato.dev/soak-seconds: "SOAK_VALUE"}
spec:
  replicas: REPLICAS_VALUE
  progressDeadlineSeconds: DEADLINE_VALUE
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
        - name: shop
          image: example/shop:1.0.0
          command: ["COMMAND_VALUE"]
          ports: [{name: http, containerPort: 8080}]
          env:
            - {name: VERSION, value: "VERSION_VALUE"}
            - {name: BEHAVIOUR, value: "BEHAVIOUR_VALUE"}
            - {name: START_MILLISECONDS, value: "START_VALUE"}
          resources:
            requests: {cpu: 50m, memory: 32Mi}
            limits: {cpu: "1", memory: 64Mi}
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 1
            failureThreshold: 2
          VOLUME_VALUE
---
apiVersion: v1
kind: Service
metadata:
  name: shop
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: http}]
"#;

const VOLUME: &str = "          volumeMounts: [{name: settings, mountPath: /settings}]
      volumes: [{name: settings, configMap: {name: settings}}]
";

const CONFIG_MAP: &str = "---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data: {colour: blue}
";

/// Compiles the server once per change of its source.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/application/server.rs");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("application");
        let changed = |file: &Path| fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
        if changed(&program) < changed(&source) {
            let unfinished = program.with_extension(std::process::id().to_string());
            let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
            let compiled = Command::new(rustc)
                .args(["--edition=2024", "-Copt-level=2", "-Cpanic=abort", "-Cstrip=symbols"])
                .arg("-Ctarget-feature=+crt-static")
                .arg("-o")
                .args([&unfinished, &source])
                .output()
                .unwrap();
            assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
            fs::rename(unfinished, &program).unwrap();
        }
        program
    })
}
