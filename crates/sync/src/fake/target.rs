//! A Target in memory whose Objects say themselves how healthy they become.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use minato_resource::{Object, ResourceKey};
use serde_json::Value;

use super::Fuse;
use crate::owner::Owner;
use crate::secrets::Redactor;
use crate::target::{Applied, Cause, Change, Context, Progress, Target, TargetError, Token};

/// Annotation that says what becomes of an Object: `healthy` (also when absent), `slow`, `fails`,
/// `never`, `rolled-back`, `refused` (by apply), `broken-prediction` (by predict).
pub const HEALTH_ANNOTATION: &str = "fake/health";

/// How many looks a `slow` Object takes to become healthy.
const SLOW_LOOKS: u32 = 3;

/// A Target in memory.
#[derive(Debug)]
pub struct FakeTarget {
    redactor: Redactor,
    fuse: Arc<Fuse>,
    world: Mutex<World>,
}

#[derive(Debug, Default)]
struct World {
    objects: BTreeMap<(Owner, ResourceKey), Placed>,
    changes: BTreeMap<Token, Behaviour>,
    log: Vec<String>,
    outage: u32,
}

#[derive(Debug, Clone)]
struct Placed {
    object: Value,
    token: Token,
}

#[derive(Debug, Clone)]
struct Behaviour {
    name: String,
    looks: u32,
}

impl FakeTarget {
    /// An empty one.
    pub fn new(redactor: Redactor, fuse: Arc<Fuse>) -> Self {
        Self { redactor, fuse, world: Mutex::default() }
    }

    /// Everything it was made to change, in order: `deploy KEY at REVISION`, `delete KEY`.
    pub fn log(&self) -> Vec<String> {
        self.world().log.clone()
    }

    /// The live Object, if it is there.
    pub fn live_value(&self, owner: &Owner, key: &ResourceKey) -> Option<Value> {
        self.world().objects.get(&(owner.clone(), key.clone())).map(|placed| placed.object.clone())
    }

    /// Changes an Object behind Minato's back; `None` removes it.
    pub fn meddle(&self, owner: &Owner, key: &ResourceKey, value: Option<Value>) {
        let mut world = self.world();
        let place = (owner.clone(), key.clone());
        match (value, world.objects.get(&place).map(|placed| placed.token.clone())) {
            (Some(object), Some(token)) => {
                world.objects.insert(place, Placed { object, token });
            }
            _ => {
                world.objects.remove(&place);
            }
        }
    }

    /// The last change of an Object becomes this (see [`HEALTH_ANNOTATION`]).
    pub fn becomes(&self, owner: &Owner, key: &ResourceKey, behaviour: &str) {
        let mut world = self.world();
        let token = world.objects.get(&(owner.clone(), key.clone())).map(|placed| placed.token.clone());
        if let Some(behaviour_of) = token.and_then(|token| world.changes.get_mut(&token)) {
            *behaviour_of = Behaviour { name: behaviour.to_owned(), looks: 0 };
        }
    }

    /// The next `requests` requests fail as if nobody were there.
    pub fn fail_next(&self, requests: u32) {
        self.world().outage = requests;
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, what: &str) -> Result<(), TargetError> {
        let mut world = self.world();
        if world.outage == 0 {
            return Ok(());
        }
        world.outage -= 1;
        Err(TargetError::Unavailable { what: what.to_owned(), message: "connection refused".to_owned() })
    }

    fn place(&self, desired: &Object, context: &Context) -> Applied {
        let mut world = self.world();
        let value = self.redactor.redact(desired);
        let place = (context.owner.clone(), desired.key().clone());
        let same = world.objects.get(&place).filter(|placed| placed.object == value).cloned();
        let token = match same {
            Some(placed) if !context.retry.contains(desired.key()) => placed.token,
            _ => {
                let token = Token::new(format!("change-{}", world.changes.len() + 1));
                let name = behaviour(desired).to_owned();
                world.changes.insert(token.clone(), Behaviour { name, looks: 0 });
                world.log.push(format!("deploy {} at {}", desired.key(), context.revision));
                token
            }
        };
        world.objects.insert(place, Placed { object: value, token: token.clone() });
        Applied { key: desired.key().clone(), identity: token.as_str().to_owned(), token }
    }

    fn look(&self, token: &Token) -> Progress {
        let mut world = self.world();
        let Some(change) = world.changes.get_mut(token) else {
            return Progress::Failed { cause: Cause::new(format!("there is no change {}", token.as_str())) };
        };
        change.looks += 1;
        let waits = || Progress::Progressing { message: "0 of 1 replicas ready".to_owned() };
        match change.name.as_str() {
            "slow" if change.looks <= SLOW_LOOKS => waits(),
            "never" => waits(),
            "fails" if change.looks == 1 => waits(),
            "fails" => Progress::Failed { cause: Cause::new("exited with code 1") },
            "rolled-back" => Progress::RolledBackByTarget { cause: Cause::new("the target went back") },
            _ => Progress::Healthy,
        }
    }
}

fn behaviour(object: &Object) -> &str {
    object.annotations().get(HEALTH_ANNOTATION).copied().unwrap_or("healthy")
}

fn refused(object: &Object, message: &str) -> TargetError {
    TargetError::Refused { key: object.key().clone(), message: message.to_owned() }
}

#[async_trait]
impl Target for FakeTarget {
    async fn live(&self, owner: &Owner) -> Result<Vec<Object>, TargetError> {
        self.fuse.step().await;
        self.answer("live objects")?;
        let world = self.world();
        let owned = world.objects.iter().filter(|((of, _), _)| of == owner);
        let objects = owned.map(|(_, placed)| Object::from_value(placed.object.clone()));
        objects.collect::<Result<_, _>>().map_err(|error| TargetError::Broken {
            what: "live objects".to_owned(),
            message: error.to_string(),
        })
    }

    async fn predict(
        &self,
        desired: &Object,
        _: Option<&Object>,
        _: &Context,
    ) -> Result<Object, TargetError> {
        if behaviour(desired) == "broken-prediction" {
            return Err(refused(desired, "it refers to something that is not there"));
        }
        let redacted = Object::from_value(self.redactor.redact(desired));
        redacted.map_err(|error| refused(desired, &error.to_string()))
    }

    async fn apply(&self, desired: &Object, context: &Context) -> Result<Applied, TargetError> {
        self.fuse.step().await;
        self.answer("apply")?;
        if behaviour(desired) == "refused" {
            return Err(refused(desired, "not like this"));
        }
        let applied = self.place(desired, context);
        self.fuse.step().await;
        Ok(applied)
    }

    async fn progress(&self, token: &Token) -> Result<Progress, TargetError> {
        self.fuse.step().await;
        self.answer("progress")?;
        Ok(self.look(token))
    }

    async fn delete(&self, key: &ResourceKey, owner: &Owner) -> Result<(), TargetError> {
        self.fuse.step().await;
        self.answer("delete")?;
        {
            let mut world = self.world();
            if world.objects.remove(&(owner.clone(), key.clone())).is_some() {
                world.log.push(format!("delete {key}"));
            }
        }
        self.fuse.step().await;
        Ok(())
    }

    fn order(&self, key: &ResourceKey) -> i32 {
        match key.kind.as_str() {
            "Secret" | "ConfigMap" => 0,
            "Service" => 1,
            _ => 2,
        }
    }

    async fn watch(&self, _: &Owner) -> Result<BoxStream<'static, Change>, TargetError> {
        Ok(stream::pending().boxed())
    }
}
