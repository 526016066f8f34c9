//! One container of a Kubernetes pod, with its image's defaults.

use minato_oci::Image;
use minato_sync::field::Field;
use minato_workload::spec::{Container, ContainerPort, ImageUse, PortProtocol, Restart};

use super::environment::{self, Environment};
use super::expand::expand;
use super::inputs::Inputs;
use super::pod::Scope;
use super::volume::{self, Volumes};
use super::{limits, probe, security};

/// Lowers a container; `initial` ones come before the others.
pub(super) fn lower(field: &Field, initial: bool, scope: &Scope, volumes: &mut Volumes) -> Option<Container> {
    field.warn_unknown(KNOWN, "not-enforced", "is not acted on on this machine");
    let name = field.get("name").required_text()?.to_owned();
    let image = image(&field.get("image"), scope.inputs)?;
    let declared = environment::lower(field, scope);
    let (pod_security, own_security) = (scope.spec.get("securityContext"), field.get("securityContext"));
    let ports = ports(field);
    let sidecar = sidecar(field, initial);
    let probe = |kind: &str| probe::probe(&field.get(kind), &ports);
    let (startup, readiness, liveness) =
        (probe("startupProbe"), probe("readinessProbe"), probe("livenessProbe"));
    if initial && !sidecar && (startup.is_some() || readiness.is_some() || liveness.is_some()) {
        field.error("init-probe", "an init container has no probes, unless its `restartPolicy` is Always");
    }
    let lifecycle = field.get("lifecycle");
    Some(Container {
        name,
        args: arguments(field, image, &declared),
        cwd: field.get("workingDir").text().unwrap_or(&image.config.config.working_dir).to_owned(),
        user: security::user(&pod_security, field, &image.config),
        extra_groups: security::extra_groups(&pod_security),
        limits: limits::lower(&field.get("resources")),
        security: security::lower(&pod_security, &own_security, scope.inputs.options.insecure),
        mounts: volume::mounts(field, &declared, volumes),
        startup,
        readiness,
        liveness,
        post_start: probe::hook(&lifecycle.get("postStart"), &ports),
        pre_stop: probe::hook(&lifecycle.get("preStop"), &ports),
        depends_on: Vec::new(),
        essential: true,
        restart: restart(initial, sidecar, scope.restart),
        sidecar,
        stop_signal: stop_signal(&lifecycle, image),
        stop_timeout_seconds: None,
        env: with_image_environment(image, declared).into_variables(),
        image: image_use(image, field.get("image").text().unwrap_or_default()),
        ports,
    })
}

/// The image behind a reference; an error when it is not at hand.
pub(super) fn image<'a>(field: &Field, inputs: &Inputs<'a>) -> Option<&'a Image> {
    let reference = field.required_text()?;
    let image = inputs.images.get(reference);
    if image.is_none() {
        let message = format!("the image {reference:?} is not on this machine");
        let hint = "name it under `images` in minato.yaml to build it here, or check that it can be pulled";
        field.error_with_hint("missing-image", message, hint);
    }
    image
}

/// The image as the supervisor takes it. Of the reference only the name is kept: the tag changes with every commit,
/// and a tag alone is no reason to replace replicas.
pub(super) fn image_use(image: &Image, reference: &str) -> ImageUse {
    ImageUse {
        id: image.id,
        layers: image.config.rootfs.diff_ids.clone(),
        reference: format!("{}@{}", repository(reference), image.id),
    }
}

/// A reference without its tag and digest.
pub(crate) fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

/// The image's variables under the declared ones.
pub(super) fn with_image_environment(image: &Image, declared: Environment) -> Environment {
    let mut environment = Environment::default();
    environment.set_all(&image.config.config.env);
    for variable in declared.into_variables() {
        environment.put(&variable.name, variable.value);
    }
    environment
}

/// `command` replaces the image's ENTRYPOINT and CMD, `args` alone its CMD (Kubernetes, "Define a Command").
fn arguments(field: &Field, image: &Image, environment: &Environment) -> Vec<String> {
    let config = &image.config.config;
    let expanded = |name: &str| -> Vec<String> {
        let texts = field.get(name).texts();
        texts.iter().for_each(|text| environment::refuse_nul(&field.get(name), text));
        texts.iter().map(|text| expand(text, &|name| environment.get(name))).collect()
    };
    let (command, args) = (expanded("command"), expanded("args"));
    let entrypoint = config.entrypoint.clone().unwrap_or_default();
    let cmd = config.cmd.clone().unwrap_or_default();
    let all = match (command.is_empty(), args.is_empty()) {
        (true, true) => [entrypoint, cmd].concat(),
        (true, false) => [entrypoint, args].concat(),
        (false, _) => [command, args].concat(),
    };
    if all.is_empty() {
        let message = "nothing to run: the image has no ENTRYPOINT and no CMD";
        field.error_with_hint("no-command", message, "set `command`");
    }
    all
}

fn ports(field: &Field) -> Vec<ContainerPort> {
    field.get("ports").items().iter().filter_map(port).collect()
}

fn port(field: &Field) -> Option<ContainerPort> {
    let number = field.get("containerPort");
    let port = number.integer().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    if port.is_none() {
        number.error("wrong-value", "`containerPort` must be a port, 1 to 65535");
    }
    let protocol = match field.get("protocol").text() {
        None | Some("TCP") => PortProtocol::Tcp,
        Some("UDP") => PortProtocol::Udp,
        Some(_) => {
            field.get("protocol").error("not-supported", "only TCP and UDP are supported on this machine");
            return None;
        }
    };
    if field.get("hostPort").is_present() {
        field.get("hostPort").warning("not-enforced", "`hostPort` is not bound here; a Service is published");
    }
    let name = field.get("name").text().unwrap_or_default().to_owned();
    Some(ContainerPort { name, port: port?, protocol })
}

/// An init container with `restartPolicy: Always` stays running beside the others.
fn sidecar(field: &Field, initial: bool) -> bool {
    let policy = field.get("restartPolicy");
    match policy.text() {
        None => false,
        Some("Always") if initial => true,
        Some(_) => {
            policy.error("not-supported", "only `restartPolicy: Always` of an init container is supported");
            false
        }
    }
}

fn restart(initial: bool, sidecar: bool, pod: Restart) -> Restart {
    match (initial, sidecar) {
        (_, true) => Restart::Always,
        // A failed init container is tried again unless the pod says Never.
        (true, false) if pod == Restart::Always => Restart::OnFailure,
        _ => pod,
    }
}

fn stop_signal(lifecycle: &Field, image: &Image) -> String {
    let own = lifecycle.get("stopSignal").text().map(str::to_owned);
    own.or_else(|| image.config.config.stop_signal.clone()).unwrap_or_default()
}

/// Acted on, or about how the image gets here.
const KNOWN: &[&str] = &[
    "name",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "workingDir",
    "ports",
    "env",
    "envFrom",
    "resources",
    "volumeMounts",
    "volumeDevices",
    "startupProbe",
    "readinessProbe",
    "livenessProbe",
    "lifecycle",
    "restartPolicy",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
];

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn a_tag_is_not_a_port() {
        for (reference, expected) in [
            ("web", "web"),
            ("web:1", "web"),
            ("localhost:5000/web", "localhost:5000/web"),
            ("localhost:5000/web:1@sha256:ab", "localhost:5000/web"),
        ] {
            assert_eq!(repository(reference), expected);
        }
    }
}
