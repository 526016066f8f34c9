//! Which fields each transformation looks at: what is built in, what `configurations` files add, and what the
//! extensions of `crds` files say.

mod crds;
mod read;
mod tables;

use std::sync::{Arc, OnceLock};

pub(crate) use crds::from_crds;
pub(crate) use read::{field_specs, read};

use crate::field::FieldSpec;
use crate::identity::Gvk;
use crate::refusal::Refusal;
use tables::Row;

/// The fields that hold names of objects of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameReference {
    /// What is named; empty parts stand for any.
    pub(crate) target: Gvk,
    pub(crate) referrers: Vec<FieldSpec>,
}

/// One list of fields for each transformation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) name_prefix: Vec<FieldSpec>,
    pub(crate) name_suffix: Vec<FieldSpec>,
    pub(crate) namespace: Vec<FieldSpec>,
    pub(crate) common_labels: Vec<FieldSpec>,
    pub(crate) labels: Vec<FieldSpec>,
    pub(crate) template_labels: Vec<FieldSpec>,
    pub(crate) common_annotations: Vec<FieldSpec>,
    pub(crate) name_reference: Vec<NameReference>,
    pub(crate) var_reference: Vec<FieldSpec>,
    pub(crate) images: Vec<FieldSpec>,
    pub(crate) replicas: Vec<FieldSpec>,
}

impl Configuration {
    /// What is built in; made once.
    pub(crate) fn built_in() -> Arc<Configuration> {
        static BUILT_IN: OnceLock<Arc<Configuration>> = OnceLock::new();
        Arc::clone(BUILT_IN.get_or_init(|| Arc::new(Configuration::from_tables())))
    }

    fn from_tables() -> Configuration {
        let name_reference = tables::NAME_REFERENCE.iter().map(|(group, version, kind, rows)| {
            NameReference { target: gvk(group, version, kind), referrers: specs(rows) }
        });
        let mut configuration = Configuration {
            name_prefix: specs(tables::NAME_PREFIX),
            name_suffix: specs(tables::NAME_SUFFIX),
            namespace: specs(tables::NAMESPACE),
            common_labels: specs(tables::COMMON_LABELS),
            labels: Vec::new(),
            template_labels: specs(tables::TEMPLATE_LABELS),
            common_annotations: specs(tables::COMMON_ANNOTATIONS),
            name_reference: name_reference.collect(),
            var_reference: specs(tables::VAR_REFERENCE),
            images: specs(tables::IMAGES),
            replicas: specs(tables::REPLICAS),
        };
        configuration.sort();
        configuration
    }

    /// Adds what another one has and this one lacks.
    ///
    /// # Errors
    /// Both have a field, and only one of them makes it where it is missing.
    pub(crate) fn merge(&mut self, other: &Configuration) -> Result<(), Refusal> {
        for (own, others) in self.lists().into_iter().zip(other.clone().lists()) {
            add_all(own, others)?;
        }
        for reference in &other.name_reference {
            self.add_name_reference(reference)?;
        }
        self.sort();
        Ok(())
    }

    pub(crate) fn add_name_reference(&mut self, other: &NameReference) -> Result<(), Refusal> {
        let mut found = false;
        for own in self.name_reference.iter_mut().filter(|own| own.target == other.target) {
            add_all(&mut own.referrers, &other.referrers)?;
            found = true;
        }
        if !found {
            self.name_reference.push(other.clone());
        }
        Ok(())
    }

    fn lists(&mut self) -> [&mut Vec<FieldSpec>; 10] {
        [
            &mut self.name_prefix,
            &mut self.name_suffix,
            &mut self.namespace,
            &mut self.common_labels,
            &mut self.labels,
            &mut self.template_labels,
            &mut self.common_annotations,
            &mut self.var_reference,
            &mut self.images,
            &mut self.replicas,
        ]
    }

    /// The order in which Kustomize looks at fields.
    fn sort(&mut self) {
        for list in self.lists() {
            list.sort_by_cached_key(|spec| order_of(&spec.gvk));
        }
        self.name_reference.sort_by_cached_key(|reference| order_of(&reference.target));
    }
}

/// Adds the specs that a list lacks.
///
/// # Errors
/// The list has the field, and only one of the two makes it where it is missing.
pub(crate) fn add_all(list: &mut Vec<FieldSpec>, others: &[FieldSpec]) -> Result<(), Refusal> {
    for other in others {
        let same = |own: &&FieldSpec| own.path == other.path && own.gvk.is_selected_by(&other.gvk);
        match list.iter().find(same) {
            Some(own) if own.create != other.create => {
                let message = format!("field `{}` is listed twice, with `create` and without", other.path);
                return Err(Refusal::new("field-conflict", message));
            }
            Some(_) => {}
            None => list.push(other.clone()),
        }
    }
    Ok(())
}

fn specs(rows: &[Row]) -> Vec<FieldSpec> {
    rows.iter()
        .map(|(group, version, kind, path, create)| FieldSpec::new(gvk(group, version, kind), *path, *create))
        .collect()
}

fn gvk(group: &str, version: &str, kind: &str) -> Gvk {
    Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
}

fn order_of(gvk: &Gvk) -> (isize, String) {
    (crate::order::rank(&gvk.kind), crate::order::sort_text(gvk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_whole() {
        let built_in = Configuration::built_in();
        let fields: usize = built_in.name_reference.iter().map(|reference| reference.referrers.len()).sum();
        assert_eq!((built_in.name_reference.len(), fields), (16, 167));
    }

    #[test]
    fn what_is_there_is_not_added_again_and_contradictions_are_refused() {
        let spec = |create| FieldSpec::new(gvk("apps", "", "Deployment"), "spec/x", create);
        let mut list = vec![spec(true)];
        add_all(&mut list, &[spec(true)]).unwrap();
        assert_eq!(list.len(), 1);
        assert!(add_all(&mut list, &[spec(false)]).is_err());
    }
}
