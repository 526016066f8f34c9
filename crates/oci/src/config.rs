//! The image config: what a container made of an image does by default.
//!
//! The JSON names are Docker's, as the OCI image specification's "Image Configuration" section took them over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::fields::{Fields, require, take};
use crate::{Digest, Platform};

/// An image's config. Its digest is the image's identity on this machine.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// The processor by Go's name.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// The processor's version.
    pub variant: Option<String>,
    /// Defaults of a container.
    pub config: ContainerConfig,
    /// The layers, lowest first.
    pub rootfs: RootFs,
    /// How each layer came to be, oldest first; has entries without a layer too.
    pub history: Vec<History>,
    /// Fields that this version does not know, kept as they are.
    pub other: Map<String, Value>,
}

/// The layers of an image.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RootFs {
    /// The digest of each layer's uncompressed tar, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// One step of an image's making.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    /// When, RFC 3339.
    pub created: Option<String>,
    /// The command.
    pub created_by: Option<String>,
    /// Who.
    pub author: Option<String>,
    /// The maker's remark; BuildKit writes its version here.
    pub comment: Option<String>,
    /// Whether the step made no layer.
    pub empty_layer: bool,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

/// Defaults of a container.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ContainerConfig {
    /// `user[:group]`, by name or number; empty is root.
    pub user: String,
    /// Ports as `80/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value` in order.
    pub env: Vec<String>,
    /// The program and its first arguments.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments after the entry point, which a user may replace.
    pub cmd: Option<Vec<String>>,
    /// Folders that hold data of their own.
    pub volumes: BTreeSet<String>,
    /// The working directory; empty is `/`.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end, by name or number.
    pub stop_signal: Option<String>,
    /// How to ask the program whether it is well.
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for images built on this one.
    pub on_build: Vec<String>,
    /// The shell of the shell forms.
    pub shell: Option<Vec<String>>,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

/// How to ask the program whether it is well. Times are whole nanoseconds in JSON.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Healthcheck {
    /// `["CMD", args…]`, `["CMD-SHELL", command]`, `["NONE"]`; empty inherits.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// How long one check may take.
    pub timeout: Option<Duration>,
    /// How long failures don't count after the start.
    pub start_period: Option<Duration>,
    /// Time between two checks during the start period.
    pub start_interval: Option<Duration>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u32>,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

impl ImageConfig {
    /// The platform that the image runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }

    /// The JSON that is stored and whose digest is the image's identity.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a config has only string keys")
    }
}

impl<'de> Deserialize<'de> for ImageConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        Ok(Self {
            created: take(&mut fields, "created")?,
            author: take(&mut fields, "author")?,
            architecture: take(&mut fields, "architecture")?,
            os: take(&mut fields, "os")?,
            variant: take(&mut fields, "variant")?,
            config: take(&mut fields, "config")?,
            rootfs: require(&mut fields, "rootfs")?,
            history: take(&mut fields, "history")?,
            other: fields,
        })
    }
}

impl Serialize for ImageConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields::default()
            .put("created", &self.created)?
            .put("author", &self.author)?
            .put_always("architecture", &self.architecture)?
            .put_always("os", &self.os)?
            .put("variant", &self.variant)?
            .put_always("config", &self.config)?
            .put_always("rootfs", &self.rootfs)?
            .put("history", &self.history)?
            .with(&self.other)
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RootFs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let kind: Option<String> = take(&mut fields, "type")?;
        match kind.as_deref() {
            None | Some("layers") => Ok(Self { diff_ids: take(&mut fields, "diff_ids")? }),
            Some(other) => Err(serde::de::Error::custom(format!("rootfs type {other:?} is not \"layers\""))),
        }
    }
}

impl Serialize for RootFs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields::default()
            .put_always("type", &"layers")?
            .put_always("diff_ids", &self.diff_ids)?
            .with(&Map::new())
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        Ok(Self {
            created: take(&mut fields, "created")?,
            created_by: take(&mut fields, "created_by")?,
            author: take(&mut fields, "author")?,
            comment: take(&mut fields, "comment")?,
            empty_layer: take(&mut fields, "empty_layer")?,
            other: fields,
        })
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields::default()
            .put("created", &self.created)?
            .put("created_by", &self.created_by)?
            .put("author", &self.author)?
            .put("comment", &self.comment)?
            .put("empty_layer", &self.empty_layer)?
            .with(&self.other)
            .serialize(serializer)
    }
}

/// A set that JSON spells as an object of empty objects.
type Keys = BTreeMap<String, Map<String, Value>>;

fn keys(set: &BTreeSet<String>) -> Keys {
    set.iter().map(|key| (key.clone(), Map::new())).collect()
}

impl<'de> Deserialize<'de> for ContainerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        Ok(Self {
            user: take(&mut fields, "User")?,
            exposed_ports: take::<Keys, _>(&mut fields, "ExposedPorts")?.into_keys().collect(),
            env: take(&mut fields, "Env")?,
            entrypoint: take(&mut fields, "Entrypoint")?,
            cmd: take(&mut fields, "Cmd")?,
            volumes: take::<Keys, _>(&mut fields, "Volumes")?.into_keys().collect(),
            working_dir: take(&mut fields, "WorkingDir")?,
            labels: take(&mut fields, "Labels")?,
            stop_signal: take(&mut fields, "StopSignal")?,
            healthcheck: take(&mut fields, "Healthcheck")?,
            on_build: take(&mut fields, "OnBuild")?,
            shell: take(&mut fields, "Shell")?,
            other: fields,
        })
    }
}

impl Serialize for ContainerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields::default()
            .put("User", &self.user)?
            .put("ExposedPorts", &keys(&self.exposed_ports))?
            .put("Env", &self.env)?
            .put("Entrypoint", &self.entrypoint)?
            .put("Cmd", &self.cmd)?
            .put("Volumes", &keys(&self.volumes))?
            .put("WorkingDir", &self.working_dir)?
            .put("Labels", &self.labels)?
            .put("StopSignal", &self.stop_signal)?
            .put("Healthcheck", &self.healthcheck)?
            .put("OnBuild", &self.on_build)?
            .put("Shell", &self.shell)?
            .with(&self.other)
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Healthcheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let mut time = |name| -> Result<Option<Duration>, D::Error> {
            let nanoseconds: Option<u64> = take(&mut fields, name)?;
            Ok(nanoseconds.filter(|n| *n > 0).map(Duration::from_nanos))
        };
        Ok(Self {
            interval: time("Interval")?,
            timeout: time("Timeout")?,
            start_period: time("StartPeriod")?,
            start_interval: time("StartInterval")?,
            test: take(&mut fields, "Test")?,
            retries: take(&mut fields, "Retries")?,
            other: fields,
        })
    }
}

impl Serialize for Healthcheck {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanoseconds =
            |time: Option<Duration>| time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        Fields::default()
            .put("Test", &self.test)?
            .put("Interval", &nanoseconds(self.interval))?
            .put("Timeout", &nanoseconds(self.timeout))?
            .put("StartPeriod", &nanoseconds(self.start_period))?
            .put("StartInterval", &nanoseconds(self.start_interval))?
            .put("Retries", &self.retries)?
            .with(&self.other)
            .serialize(serializer)
    }
}
