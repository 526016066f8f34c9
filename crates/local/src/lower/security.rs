//! `securityContext` of pod and container: the user, groups and privileges.

use minato_oci::ImageConfig;
use minato_sync::field::Field;
use minato_workload::spec::Security;

/// The container's field, else the pod's.
fn either<'a>(pod: &Field<'a>, container: &Field<'a>, name: &str) -> Field<'a> {
    let own = container.get(name);
    if own.is_present() { own } else { pod.get(name) }
}

/// The user of a container, in Docker's form: `uid`, `uid:gid`, or what the image says.
pub(super) fn user(pod: &Field, container: &Field, image: &ImageConfig) -> String {
    let own = &container.get("securityContext");
    let (user, group) = (either(pod, own, "runAsUser").count(), either(pod, own, "runAsGroup").count());
    let from_image = image.config.user.as_str();
    let image_user = from_image.split(':').next().unwrap_or("");
    let resolved = match (user, group) {
        (Some(user), Some(group)) => format!("{user}:{group}"),
        (Some(user), None) => user.to_string(),
        (None, Some(group)) if image_user.is_empty() => format!("0:{group}"),
        (None, Some(group)) => format!("{image_user}:{group}"),
        (None, None) => from_image.to_owned(),
    };
    if either(pod, own, "runAsNonRoot").boolean() == Some(true) {
        refuse_root(container, &resolved);
    }
    resolved
}

/// As the kubelet: with `runAsNonRoot` the user must be a number other than 0.
fn refuse_root(container: &Field, user: &str) {
    let field = container.get("name");
    let name = user.split(':').next().unwrap_or("");
    let hint = "set `runAsUser`, or write a number in the image's USER: `USER 1001`";
    match name.parse::<u32>() {
        Ok(number) if number > 0 => {}
        Ok(_) => field.error_with_hint("run-as-root", "`runAsNonRoot` is set and the container would run as root", hint),
        Err(_) if name.is_empty() || name == "root" => {
            field.error_with_hint("run-as-root", "`runAsNonRoot` is set and the image runs as root", hint);
        }
        Err(_) => field.error_with_hint(
            "run-as-root",
            format!("`runAsNonRoot` is set and the image's user {name:?} is a name, which can't be checked to be not root"),
            hint,
        ),
    }
}

/// `supplementalGroups` and `fsGroup`.
pub(super) fn extra_groups(pod: &Field) -> Vec<u32> {
    let mut groups: Vec<u32> =
        pod.get("supplementalGroups").items().iter().filter_map(Field::count).collect();
    groups.extend(pod.get("fsGroup").count());
    groups
}

/// Privileges. `insecure` lifts nothing by itself: it lets the runtime go on where it can't enforce.
pub(super) fn lower(pod: &Field, container: &Field, insecure: bool) -> Security {
    container.warn_unknown(CONTAINER_FIELDS, "not-enforced", "is not enforced on this machine");
    let capabilities = container.get("capabilities");
    let flag = |name: &str| container.get(name).boolean();
    let names = |name: &str| -> Vec<String> {
        let texts = capabilities.get(name).texts();
        texts.iter().map(|text| text.trim_start_matches("CAP_").to_ascii_uppercase()).collect()
    };
    Security {
        privileged: flag("privileged").unwrap_or(false),
        capabilities_add: names("add"),
        capabilities_drop: names("drop"),
        no_new_privileges: flag("allowPrivilegeEscalation") == Some(false),
        read_only_root: flag("readOnlyRootFilesystem").unwrap_or(false),
        insecure,
        seccomp_unconfined: seccomp_unconfined(&either(pod, container, "seccompProfile")),
    }
}

/// Without a profile Docker's default applies here, which is stricter than Kubernetes' own default.
fn seccomp_unconfined(profile: &Field) -> bool {
    match profile.get("type").text() {
        Some("Unconfined") => true,
        Some("Localhost") => {
            let message = "profiles of the node are not read here; Docker's default profile applies";
            profile.warning("not-enforced", message);
            false
        }
        _ => false,
    }
}

/// Names what the pod's own context asks for in vain.
pub(super) fn warn_about_pod(pod: &Field) {
    pod.warn_unknown(POD_FIELDS, "not-enforced", "is not enforced on this machine");
}

const POD_FIELDS: &[&str] = &[
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "supplementalGroups",
    "fsGroup",
    "seccompProfile",
    "fsGroupChangePolicy",
    "supplementalGroupsPolicy",
];

const CONTAINER_FIELDS: &[&str] = &[
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "capabilities",
    "privileged",
    "allowPrivilegeEscalation",
    "readOnlyRootFilesystem",
    "seccompProfile",
];
