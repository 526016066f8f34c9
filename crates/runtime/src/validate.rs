//! Rules that a specification must keep before anything is made of it. Pure.

use std::path::{Component, Path};

use crate::outcome::StartError;
use crate::spec::{ContainerSpec, Mount, Network, Rootfs, SPEC_VERSION};

/// The kernel takes 500 lower folders.
const LAYER_LIMIT: usize = 500;

/// Refuses what no machine could run, naming the field.
pub(crate) fn check(spec: &ContainerSpec) -> Result<(), StartError> {
    let problem = version(spec)
        .or_else(|| program(spec))
        .or_else(|| environment(spec))
        .or_else(|| paths(spec))
        .or_else(|| network(spec));
    problem.map_or(Ok(()), |reason| Err(StartError::InvalidSpec { reason }))
}

fn version(spec: &ContainerSpec) -> Option<String> {
    (spec.version != SPEC_VERSION).then(|| format!("version is {}, must be {SPEC_VERSION}", spec.version))
}

fn program(spec: &ContainerSpec) -> Option<String> {
    if spec.args.first().is_none_or(String::is_empty) {
        return Some("args: there is no command; give one, or an image with CMD or ENTRYPOINT".to_owned());
    }
    if spec.args.iter().any(|arg| arg.contains('\0')) {
        return Some("args: an argument has a zero byte".to_owned());
    }
    (spec.hostname.len() > 64).then(|| "hostname: must be at most 64 bytes".to_owned())
}

fn environment(spec: &ContainerSpec) -> Option<String> {
    let bad = |(name, value): &&(String, String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    spec.env
        .iter()
        .find(bad)
        .map(|(name, _)| format!("env: {name:?} is no name, or its value has a zero byte"))
}

fn paths(spec: &ContainerSpec) -> Option<String> {
    if !is_plain(&spec.cwd) {
        return Some(format!("cwd: {} must be absolute, without '..'", spec.cwd.display()));
    }
    let foreign = spec.mounts.iter().filter_map(|mount| match mount {
        Mount::Layers { layers, path, .. } if layers.len() > LAYER_LIMIT || !is_plain(path) => Some(path),
        _ => None,
    });
    if let Some(path) = foreign.into_iter().next() {
        let path = path.display();
        return Some(format!(
            "mounts: {path} must be absolute, without '..', of at most {LAYER_LIMIT} layers"
        ));
    }
    let layers: &[_] = match &spec.rootfs {
        Rootfs::Layers { layers, .. } | Rootfs::Overlay { layers, .. } => layers,
        Rootfs::Folder { path, .. } => std::slice::from_ref(path),
    };
    if layers.is_empty() || layers.len() > LAYER_LIMIT {
        return Some(format!("rootfs: must have 1 to {LAYER_LIMIT} layers"));
    }
    if let Some(layer) = layers.iter().find(|layer| !layer.is_absolute()) {
        return Some(format!("rootfs: {} must be absolute", layer.display()));
    }
    let bad_target = |mount: &&Mount| !is_plain(mount.target()) || mount.target() == Path::new("/");
    spec.mounts.iter().find(bad_target).map(|mount| {
        format!("mounts: {} must be an absolute path below /, without '..'", mount.target().display())
    })
}

fn network(spec: &ContainerSpec) -> Option<String> {
    let Network::Own(own) = &spec.network else { return None };
    let uplink = own.uplink.as_ref()?;
    let name = &uplink.bridge;
    if name.is_empty() || name.len() > 15 || name.contains(['/', ' ', '\0', ':']) {
        return Some(format!("network: {name:?} is no name for a bridge"));
    }
    (!(8..=30).contains(&uplink.prefix)).then(|| "network: the prefix must be 8 to 30 bits".to_owned())
}

/// Absolute, with nothing but names.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{OwnNetwork, Uplink};

    fn spec() -> ContainerSpec {
        let rootfs = Rootfs::Folder { path: "/r".into(), read_only: false };
        ContainerSpec::new("a".parse().unwrap(), rootfs, vec!["sh".to_owned()])
    }

    #[test]
    fn a_default_container_is_well_formed() {
        assert_eq!(check(&spec()), Ok(()));
    }

    #[test]
    fn each_rule_names_its_field() {
        let uplink = Uplink { bridge: "a-name-too-long-for-a-link".into(), ..Uplink::default() };
        let own = OwnNetwork { address: [10, 88, 0, 2].into(), uplink: Some(uplink) };
        let up = Mount::Tmpfs { target: "/a/../b".into(), size: None, mode: None };
        let cases = [
            ("args", ContainerSpec { args: vec![], ..spec() }),
            ("env", ContainerSpec { env: vec![("A=B".into(), String::new())], ..spec() }),
            ("cwd", ContainerSpec { cwd: "srv".into(), ..spec() }),
            (
                "rootfs",
                ContainerSpec { rootfs: Rootfs::Layers { layers: vec![], read_only: true }, ..spec() },
            ),
            ("mounts", ContainerSpec { mounts: vec![up], ..spec() }),
            ("network", ContainerSpec { network: Network::Own(own), ..spec() }),
            ("version", ContainerSpec { version: 9, ..spec() }),
        ];
        for (field, spec) in cases {
            let Err(StartError::InvalidSpec { reason }) = check(&spec) else {
                panic!("{field} was accepted")
            };
            assert!(reason.starts_with(field), "{reason}");
        }
    }
}
