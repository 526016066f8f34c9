//! Everything that an operation on an application works with, opened once: the engine that its destination names, the
//! state, the secrets.

use std::collections::BTreeSet;
use std::sync::Arc;

use minato_ecs::EcsTarget;
use minato_kubernetes::KubernetesTarget;
use minato_local::LocalTarget;
use minato_oci::Store;
use minato_resource::{Diagnostic, Object, ResourceKey};
use minato_source::LocalSecrets;
use minato_state::State;
use minato_sync::{
    Application, Context, Destination, Events, NoPins, Owner, Pins, Redactor, Seams, StateStore, Target,
    Tempo,
};

use crate::images::Deployable;
use crate::machine::Machine;
use crate::repository::Repository;

/// Where an application runs, and what is remembered of it.
pub struct Engine {
    place: Place,
    state: State,
    secrets: LocalSecrets,
    redactor: Redactor,
}

/// The engines.
enum Place {
    /// This machine, with its images.
    Local(Box<LocalTarget>, Arc<Store>),
    /// A Kubernetes cluster.
    Kubernetes(Box<KubernetesTarget>),
    /// An Amazon ECS cluster.
    Ecs(Box<EcsTarget>),
}

impl Engine {
    /// The engine that an Application's destination names. `desired` are the Objects that are to go there, as far as they
    /// are known.
    ///
    /// # Errors
    /// It can't be reached with what is configured here.
    pub async fn of(
        machine: &Machine,
        application: &Application,
        secrets: LocalSecrets,
        desired: &[Object],
    ) -> anyhow::Result<Engine> {
        let state = machine.state()?;
        let redactor = state.redactor()?;
        let place = match &application.destination {
            Destination::Local => return Engine::of_this_machine(machine, secrets),
            Destination::Kubernetes(cluster) => {
                let options = kubernetes_options(application, redactor.clone());
                Place::Kubernetes(Box::new(KubernetesTarget::connect(cluster, options).await?))
            }
            Destination::Ecs { region, cluster } => {
                let families = families(&state, application, desired).await?;
                let options = minato_ecs::Options { redactor: redactor.clone(), families };
                Place::Ecs(Box::new(EcsTarget::connect(region, cluster, options).await?))
            }
        };
        Ok(Engine { place, state, secrets, redactor })
    }

    /// This machine.
    pub fn of_this_machine(machine: &Machine, secrets: LocalSecrets) -> anyhow::Result<Engine> {
        let state = machine.state()?;
        let store = Arc::new(machine.store()?);
        let redactor = state.redactor()?;
        let target = LocalTarget::new(
            machine.data(),
            machine.supervisor_options(),
            Arc::clone(&store),
            Arc::new(secrets.clone()),
            redactor.clone(),
            machine.target_options(),
        );
        Ok(Engine { place: Place::Local(Box::new(target), store), state, secrets, redactor })
    }

    /// The seams of one operation.
    pub fn seams<'a>(&'a self, events: &'a dyn Events, tempo: Tempo) -> Seams<'a> {
        Seams {
            target: self.target(),
            store: &self.state,
            secrets: &self.secrets,
            pins: self.pins(),
            redactor: &self.redactor,
            events,
            tempo,
        }
    }

    /// The Objects under the names that they will have there, with the namespace of those that say none, and what is wrong
    /// with them.
    ///
    /// # Errors
    /// The engine can't be asked.
    pub async fn resolve(&self, objects: Vec<Object>) -> anyhow::Result<(Vec<Object>, Vec<Diagnostic>)> {
        match &self.place {
            Place::Kubernetes(target) => Ok(target.resolve(objects).await?),
            Place::Local(..) | Place::Ecs(_) => Ok((objects, Vec::new())),
        }
    }

    /// How long to wait for what there.
    pub fn tempo(&self) -> Tempo {
        match &self.place {
            Place::Ecs(_) => Tempo { poll: minato_ecs::POLL_INTERVAL, ..Tempo::default() },
            Place::Local(..) | Place::Kubernetes(_) => Tempo::default(),
        }
    }

    /// Whether images must be on this machine before anything is applied.
    pub fn runs_images_here(&self) -> bool {
        matches!(self.place, Place::Local(..))
    }

    /// What can't run there, or not as written, with its place. Other engines say so themselves before they write.
    pub async fn check(&self, context: &Context) -> anyhow::Result<Vec<Diagnostic>> {
        match &self.place {
            Place::Local(target, _) => Ok(target.check(context).await?),
            Place::Kubernetes(_) | Place::Ecs(_) => Ok(Vec::new()),
        }
    }

    fn target(&self) -> &dyn Target {
        match &self.place {
            Place::Local(target, _) => target.as_ref(),
            Place::Kubernetes(target) => target.as_ref(),
            Place::Ecs(target) => target.as_ref(),
        }
    }

    fn pins(&self) -> &dyn Pins {
        match &self.place {
            Place::Local(_, store) => store.as_ref(),
            // Their images are in registries.
            Place::Kubernetes(_) | Place::Ecs(_) => &NoPins,
        }
    }
}

fn kubernetes_options(application: &Application, redactor: Redactor) -> minato_kubernetes::Options {
    let options = minato_kubernetes::Options::new(redactor);
    minato_kubernetes::Options {
        namespace: application.namespace.clone().unwrap_or(options.namespace),
        create_namespace: application.sync_policy.create_namespace,
        ..options
    }
}

/// The task definitions that an Application has, or had: ECS can't be asked for those of an owner.
async fn families(
    state: &State,
    application: &Application,
    desired: &[Object],
) -> anyhow::Result<Vec<String>> {
    let history = state.history(&application.name).await?;
    let remembered = history.iter().flat_map(|revision| &revision.content.objects);
    let remembered = remembered.filter_map(|value| Object::from_value(value.clone()).ok());
    let keys = remembered
        .map(|object| object.key().clone())
        .chain(desired.iter().map(|object| object.key().clone()));
    let families =
        keys.filter(|key| minato_ecs::accepts(key) && key.kind == "TaskDefinition").map(|key| key.name);
    Ok(families.collect::<BTreeSet<String>>().into_iter().collect())
}

/// Parts Objects into those that a destination's engine takes and those that are for another engine.
pub fn part(destination: &Destination, objects: Vec<Object>) -> (Vec<Object>, Vec<Object>) {
    match destination {
        Destination::Local => minato_local::part(objects),
        Destination::Kubernetes(_) => {
            objects.into_iter().partition(|object| minato_kubernetes::accepts(object.key()))
        }
        Destination::Ecs { .. } => objects.into_iter().partition(|object| minato_ecs::accepts(object.key())),
    }
}

/// Why [`part`] leaves an Object out.
pub fn why_not(destination: &Destination, key: &ResourceKey) -> &'static str {
    match destination {
        Destination::Local => minato_local::why_not(key),
        Destination::Kubernetes(_) => "a Kubernetes cluster runs no ECS documents",
        Destination::Ecs { .. } => "ECS runs task definitions and services only",
    }
}

/// What is known of a revision of a work tree before anything is applied.
pub fn context(repository: &Repository, deployable: &Deployable) -> Context {
    Context {
        owner: Owner::new(repository.application.name.clone()),
        revision: deployable.revision.clone(),
        desired: deployable.objects.clone().into(),
        images: Arc::new(deployable.images.clone()),
        applied: Vec::new(),
        retry: Vec::new(),
    }
}
