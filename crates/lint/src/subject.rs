//! What rules look at: a Dockerfile, the pod of a Kubernetes object, an ECS task.

use minato_dockerfile::{Instruction, Stage, Word};
use minato_oci::Reference;
use minato_resource::Object;
use minato_task_definition::{GROUP, SERVICE_KIND, TASK_DEFINITION_KIND};
use serde_json::Value;

use crate::check::{Build, Input};
use crate::scope::{Scope, final_user};

/// A Dockerfile within the whole input.
pub(crate) struct Dockerfile<'a> {
    pub build: &'a Build<'a>,
    pub input: &'a Input<'a>,
}

/// The pod of a Kubernetes object: its own, or the one of its template.
pub(crate) struct Pod<'a> {
    pub object: &'a Object,
    pub input: &'a Input<'a>,
    /// Where the pod's specification stands in the object: `/spec/template/spec`.
    pub spec: &'static str,
    /// Whether it is meant to run until it is replaced, unlike a Job.
    pub serves: bool,
}

/// An ECS task definition.
pub(crate) struct Task<'a> {
    pub object: &'a Object,
    pub input: &'a Input<'a>,
}

/// One container of a [`Pod`] or [`Task`].
pub(crate) struct Container<'a> {
    /// Where it stands in the object.
    pub pointer: String,
    pub value: &'a Value,
    /// Runs to its end before the others start.
    pub init: bool,
}

/// The kinds that have pods: group, kind, where the pod's specification is, and whether the pod serves.
const PODS: [(&str, &str, &str, bool); 9] = [
    ("", "Pod", "/spec", true),
    ("", "ReplicationController", "/spec/template/spec", true),
    ("apps", "Deployment", "/spec/template/spec", true),
    ("apps", "StatefulSet", "/spec/template/spec", true),
    ("apps", "DaemonSet", "/spec/template/spec", true),
    ("apps", "ReplicaSet", "/spec/template/spec", true),
    ("argoproj.io", "Rollout", "/spec/template/spec", true),
    ("batch", "Job", "/spec/template/spec", false),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template/spec", false),
];

impl<'a> Dockerfile<'a> {
    /// The stage that becomes the image; `None` when the named target does not exist.
    pub(crate) fn final_stage(&self) -> Option<&'a Stage> {
        let dockerfile = self.build.dockerfile;
        match self.build.target {
            None => dockerfile.stages.last(),
            Some(target) => {
                let index = dockerfile.stage_named(target).or_else(|| target.parse().ok());
                index.and_then(|index: usize| dockerfile.stages.get(index))
            }
        }
    }

    /// The final stage and those it is made from, the final one first.
    pub(crate) fn lineage(&self) -> Vec<&'a Stage> {
        self.final_stage().map_or_else(Vec::new, |stage| self.lineage_of(stage))
    }

    /// A stage and those it is made from, the stage first.
    pub(crate) fn lineage_of(&self, stage: &'a Stage) -> Vec<&'a Stage> {
        let dockerfile = self.build.dockerfile;
        let mut lineage = Vec::new();
        let mut next = Some(stage);
        // Each step goes to an earlier stage, so this ends.
        while let Some(stage) = next {
            lineage.push(stage);
            let own = dockerfile.stages.iter().position(|it| std::ptr::eq(it, stage)).unwrap_or(0);
            next = Scope::of_globals(dockerfile)
                .resolve(&stage.from.value.image)
                .and_then(|image| dockerfile.stages[..own].iter().rfind(|it| is_named(it, &image)));
        }
        lineage
    }
}

/// Whether this is the stage's name, which has no case.
pub(crate) fn is_named(stage: &Stage, name: &str) -> bool {
    stage.from.value.name.as_ref().is_some_and(|it| it.raw.eq_ignore_ascii_case(name))
}

/// The stages and images that COPY and mounts take files from, as they are written.
pub(crate) fn sources_of(stage: &Stage) -> Vec<&Word> {
    let sources = stage.instructions.iter().flat_map(|statement| match &statement.value {
        Instruction::Copy(copy) => copy.from.iter().collect::<Vec<_>>(),
        Instruction::Run(run) => {
            let fields = run.mounts.iter().flat_map(|mount| &mount.fields);
            fields.filter(|field| field.key == "from").filter_map(|field| field.value.as_ref()).collect()
        }
        _ => Vec::new(),
    });
    sources.collect()
}

impl<'a> Pod<'a> {
    /// The object's pod, if it has one.
    pub(crate) fn of(object: &'a Object, input: &'a Input<'a>) -> Option<Pod<'a>> {
        let key = object.key();
        let (.., spec, serves) =
            *PODS.iter().find(|(group, kind, ..)| *group == key.group && *kind == object.kind())?;
        let once = object.text(&format!("{spec}/restartPolicy")).is_some_and(|policy| policy != "Always");
        object.get(spec).map(|_| Pod { object, input, spec, serves: serves && !once })
    }

    /// A field of the pod's specification.
    pub(crate) fn field(&self, pointer: &str) -> Option<&'a Value> {
        self.object.get(&format!("{}{pointer}", self.spec))
    }

    /// All containers. An init container that is restarted always is a sidecar and counts as an ordinary one.
    pub(crate) fn containers(&self) -> Vec<Container<'a>> {
        let mut containers = list(self.object, &format!("{}/containers", self.spec));
        for mut container in list(self.object, &format!("{}/initContainers", self.spec)) {
            container.init = container.text("/restartPolicy") != Some("Always");
            containers.push(container);
        }
        containers
    }
}

impl<'a> Task<'a> {
    /// The object as a task, if it is a task definition.
    pub(crate) fn of(object: &'a Object, input: &'a Input<'a>) -> Option<Task<'a>> {
        let task = object.key().group == GROUP && object.kind() == TASK_DEFINITION_KIND;
        task.then_some(Task { object, input })
    }

    pub(crate) fn containers(&self) -> Vec<Container<'a>> {
        list(self.object, "/spec/containerDefinitions")
    }

    /// Whether a service in the input puts this container behind a load balancer, which has health checks of its
    /// own.
    pub(crate) fn is_load_balanced(&self, container: &str) -> bool {
        self.input.objects.iter().filter(|object| self.is_run_by(object)).any(|service| {
            let balancers = service.get("/spec/loadBalancers").and_then(Value::as_array);
            let mut balancers = balancers.into_iter().flatten();
            balancers.any(|balancer| balancer["containerName"] == container)
        })
    }

    fn is_run_by(&self, object: &Object) -> bool {
        let definition = object.text("/spec/taskDefinition").unwrap_or("");
        let family = definition.rsplit('/').next().unwrap_or("").split(':').next().unwrap_or("");
        object.key().group == GROUP && object.kind() == SERVICE_KIND && family == self.object.name()
    }
}

fn list<'a>(object: &'a Object, pointer: &str) -> Vec<Container<'a>> {
    let values = object.get(pointer).and_then(Value::as_array);
    let container = |(index, value)| Container { pointer: format!("{pointer}/{index}"), value, init: false };
    values.into_iter().flatten().enumerate().map(container).collect()
}

impl Container<'_> {
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer).and_then(Value::as_str)
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/name").unwrap_or("without a name")
    }

    /// What to underline when something is missing in the container as a whole.
    pub(crate) fn place(&self) -> String {
        format!("{}/name", self.pointer)
    }
}

impl Input<'_> {
    /// The build that makes this image, if one does.
    pub(crate) fn build_of(&self, image: &Reference) -> Option<&Build<'_>> {
        self.builds.iter().find(|build| build.images.iter().any(|it| it.name() == image.name()))
    }

    /// Whether the image is made here and its Dockerfile says a user that is not root.
    pub(crate) fn has_own_user(&self, image: &str) -> bool {
        let build = image.parse().ok().and_then(|image| self.build_of(&image));
        build.is_some_and(|build| {
            let user = final_user(&Dockerfile { build, input: self });
            user.is_some_and(|user| !user.is_root())
        })
    }

    /// Whether an object in the input runs containers.
    pub(crate) fn has_workloads(&self) -> bool {
        self.objects.iter().any(|object| Pod::of(object, self).is_some() || Task::of(object, self).is_some())
    }
}
