//! What to do, in which order: waves, then kinds, then names; removal goes the other way round.

use std::collections::BTreeMap;

use minato_resource::{Object, ResourceKey};

use crate::annotations::{may_prune, wave_of};
use crate::compare::{Comparison, ObjectState};

/// What a sync will do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Objects to apply; a wave starts when the one before is healthy.
    pub waves: Vec<Wave>,
    /// Live Objects to remove, in order, when everything is healthy.
    pub prune: Vec<ResourceKey>,
    /// Live Objects that are no longer desired and stay, because pruning is off for them.
    pub kept: Vec<ResourceKey>,
}

/// The Objects of one wave, in the order they are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wave {
    /// Its number.
    pub number: i64,
    /// Its Objects.
    pub objects: Vec<ResourceKey>,
}

impl Plan {
    /// Whether the target will not be written to.
    pub fn is_empty(&self) -> bool {
        self.waves.is_empty() && self.prune.is_empty()
    }
}

/// Plans what a comparison asks for. `again` are Objects to apply although they are equal: an earlier run may
/// have applied them and died before it knew their tokens.
pub fn plan(
    comparison: &Comparison,
    desired: &[Object],
    live: &[Object],
    again: &[ResourceKey],
    prune: bool,
    order: &dyn Fn(&ResourceKey) -> i32,
) -> Plan {
    let mut waves: BTreeMap<i64, Vec<ResourceKey>> = BTreeMap::new();
    for object in desired {
        let wanted = match comparison.state(object.key()) {
            Some(ObjectState::OutOfSync { .. } | ObjectState::Missing) => true,
            _ => again.contains(object.key()),
        };
        if wanted {
            waves.entry(wave_of(object)).or_default().push(object.key().clone());
        }
    }
    let waves = waves.into_iter().map(|(number, mut objects)| {
        objects.sort_by_cached_key(|key| (order(key), key.clone()));
        Wave { number, objects }
    });
    let extra = live.iter().filter(|object| comparison.state(object.key()) == Some(&ObjectState::Extra));
    let (removed, kept): (Vec<&Object>, Vec<&Object>) = extra.partition(|object| prune && may_prune(object));
    Plan { waves: waves.collect(), prune: removal_order(&removed, order), kept: keys(&kept) }
}

/// Everything of an Application, last applied first.
pub fn removal_order(objects: &[&Object], order: &dyn Fn(&ResourceKey) -> i32) -> Vec<ResourceKey> {
    let mut sorted = objects.to_vec();
    sorted.sort_by_cached_key(|object| {
        std::cmp::Reverse((wave_of(object), order(object.key()), object.key().clone()))
    });
    keys(&sorted)
}

fn keys(objects: &[&Object]) -> Vec<ResourceKey> {
    objects.iter().map(|object| object.key().clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::{SYNC_OPTIONS_ANNOTATION, SYNC_WAVE_ANNOTATION};
    use crate::compare::compare;
    use serde_json::json;

    fn object(kind: &str, name: &str, annotations: serde_json::Value) -> Object {
        let value = json!({"apiVersion": "v1", "kind": kind,
            "metadata": {"name": name, "annotations": annotations}});
        Object::from_value(value).unwrap()
    }

    fn order(key: &ResourceKey) -> i32 {
        i32::from(key.kind == "Pod")
    }

    fn names(keys: &[ResourceKey]) -> Vec<&str> {
        keys.iter().map(|key| key.name.as_str()).collect()
    }

    fn planned(desired: &[Object], live: &[Object], prune: bool) -> Plan {
        plan(&compare(desired, live, &[]), desired, live, &[], prune, &order)
    }

    #[test]
    fn waves_then_kinds_then_names() {
        let wave = |number: &str| json!({SYNC_WAVE_ANNOTATION: number});
        let desired = [
            object("Pod", "b", json!({})),
            object("Pod", "a", json!({})),
            object("Service", "z", json!({})),
            object("Pod", "late", wave("5")),
            object("Pod", "early", wave("-1")),
            object("Pod", "odd", wave("x")),
        ];
        let plan = planned(&desired, &[], true);
        let waves: Vec<(i64, Vec<&str>)> =
            plan.waves.iter().map(|wave| (wave.number, names(&wave.objects))).collect();
        assert_eq!(waves, [(-1, vec!["early"]), (0, vec!["z", "a", "b", "odd"]), (5, vec!["late"])]);
    }

    #[test]
    fn removal_is_in_reverse_and_respects_the_objects_own_option() {
        let live = [
            object("Service", "s", json!({})),
            object("Pod", "p", json!({})),
            object("Pod", "first", json!({SYNC_WAVE_ANNOTATION: "3"})),
            object("Pod", "keep", json!({SYNC_OPTIONS_ANNOTATION: "Validate=false, Prune=false"})),
        ];
        let plan = planned(&[], &live, true);
        assert_eq!(names(&plan.prune), ["first", "p", "s"]);
        assert_eq!(names(&plan.kept), ["keep"]);
        assert_eq!(planned(&[], &live, false).kept.len(), 4);
    }

    #[test]
    fn equal_objects_are_left_alone_unless_an_earlier_run_died_on_them() {
        let desired = [object("Pod", "a", json!({})), object("Pod", "b", json!({}))];
        assert!(planned(&desired, &desired, true).is_empty());
        let comparison = compare(&desired, &desired, &[]);
        let again = [desired[1].key().clone()];
        let plan = plan(&comparison, &desired, &desired, &again, true, &order);
        assert_eq!(names(&plan.waves[0].objects), ["b"]);
    }
}
