//! The resources of a layer, in the order of loading, and finding them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::identity::Id;
use crate::refusal::Refusal;
use crate::resource::{Behaviour, Resource};

/// A list in which no two resources are the same.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    list: Vec<Resource>,
    /// Hashes of identities, as long as nothing changed one; rebuilt when they are needed again.
    known: Option<HashSet<u64>>,
    hasher: RandomState,
}

impl Resources {
    pub(crate) fn as_slice(&self) -> &[Resource] {
        &self.list
    }

    /// For transformations, which may change identities.
    pub(crate) fn list_mut(&mut self) -> &mut Vec<Resource> {
        self.known = None;
        &mut self.list
    }

    pub(crate) fn into_list(self) -> Vec<Resource> {
        self.list
    }

    /// Adds a resource.
    ///
    /// # Errors
    /// One of the same kind, name and namespace is there.
    pub(crate) fn append(&mut self, resource: Resource) -> Result<(), Refusal> {
        let hash = self.hash(resource.id());
        let known = match self.known.take() {
            Some(known) => known,
            None => self.list.iter().map(|resource| self.hash(resource.id())).collect(),
        };
        let known = self.known.insert(known);
        if !known.insert(hash)
            && let Some(other) = self.list.iter().find(|other| other.id().is_same(resource.id()))
        {
            return Err(twice(other, &resource));
        }
        self.list.push(resource);
        Ok(())
    }

    pub(crate) fn append_all(
        &mut self,
        resources: impl IntoIterator<Item = Resource>,
    ) -> Result<(), Refusal> {
        resources.into_iter().try_for_each(|resource| self.append(resource))
    }

    /// Adds what a generator made, or puts it in the place of what it replaces or merges with.
    pub(crate) fn absorb(&mut self, mut generated: Resource) -> Result<(), Refusal> {
        let id = generated.id().clone();
        let mut matches = (0..self.list.len()).filter(|index| self.list[*index].is_or_was(&id));
        let found = (matches.next(), matches.next());
        match (found, generated.behaviour) {
            ((Some(_), Some(_)), _) => Err(Refusal::new(
                "ambiguous-generator",
                format!("more than one resource is `{id}`; which one is meant?"),
            )),
            ((None, _), Behaviour::Create) => self.append(generated),
            ((None, _), _) => {
                let message = format!("there is no `{id}` to merge with or replace");
                let names = self.list.iter().map(|resource| resource.id().name.as_str());
                Err(Refusal::new("missing-generator", message).suggesting(&id.name, names))
            }
            ((Some(_), None), Behaviour::Create) => {
                let message = format!("there is a `{id}` already");
                Err(Refusal::new("generated-twice", message)
                    .with_hint("say `behavior: merge` or `behavior: replace` to change it"))
            }
            ((Some(index), None), behaviour) => {
                let old = &self.list[index];
                generated.take_over(old, behaviour == Behaviour::Merge);
                // The identity stays, so what is known of identities does.
                self.list[index] = generated;
                Ok(())
            }
        }
    }

    /// Refuses two resources that a transformation made the same.
    pub(crate) fn check_unique(&self) -> Result<(), Refusal> {
        let mut seen: HashMap<u64, Vec<usize>> = HashMap::with_capacity(self.list.len());
        for (index, resource) in self.list.iter().enumerate().filter(|(_, resource)| !resource.is_deleted()) {
            let others = seen.entry(self.hash(resource.id())).or_default();
            if let Some(other) = others.iter().find(|other| self.list[**other].id().is_same(resource.id())) {
                return Err(twice(&self.list[*other], resource));
            }
            others.push(index);
        }
        Ok(())
    }

    pub(crate) fn drop_deleted(&mut self) {
        if self.list.iter().any(Resource::is_deleted) {
            self.list_mut().retain(|resource| !resource.is_deleted());
        }
    }

    fn hash(&self, id: &Id) -> u64 {
        self.hasher.hash_one((&id.gvk, &id.name, id.effective_namespace()))
    }
}

fn twice(other: &Resource, resource: &Resource) -> Refusal {
    let place = other.place.as_ref().map(|place| {
        let position = place.file.position(place.span.start);
        format!(", first in {}:{position}", place.file.path().display())
    });
    let message = format!("`{}` is there twice{}", resource.id(), place.unwrap_or_default());
    Refusal::new("duplicate-resource", message)
}

/// Finding resources by any name that they have or had, without looking at all of them.
pub(crate) struct NameIndex {
    by_name: HashMap<String, Vec<usize>>,
}

impl NameIndex {
    pub(crate) fn new(resources: &[Resource]) -> NameIndex {
        let mut index = NameIndex { by_name: HashMap::with_capacity(resources.len()) };
        for (position, resource) in resources.iter().enumerate() {
            index.add(position, resource);
        }
        index
    }

    /// Takes in the names of a resource that may have got a new one.
    pub(crate) fn add(&mut self, position: usize, resource: &Resource) {
        for name in resource.names() {
            match self.by_name.get_mut(name) {
                Some(positions) if positions.contains(&position) => {}
                Some(positions) => positions.push(position),
                None => drop(self.by_name.insert(name.to_owned(), vec![position])),
            }
        }
    }

    /// Positions of those that have or had a name, in the order of loading.
    pub(crate) fn named(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}
