//! What a policy lets go of in a repository: pure, from the repository's facts to deletions.
//!
//! Tags go by the policy's rules. A manifest goes when no tag that stays leads to it: as the manifest itself, as a child
//! of an index, or as a referrer (signature, SBOM) of one of these. So no index ever loses a child, and no image
//! its signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::content::ContentDigest;
use super::name::{RepositoryName, Tag};
use super::pattern::Pattern;

/// What is kept, by repository and tag. Tags that no rule is about stay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The first one that fits a tag decides.
    pub rules: Vec<RetentionRule>,
    /// How long a manifest stays that no tag leads to, after it was pushed.
    pub keep_untagged_for: Duration,
}

/// Which of some tags are kept: those that one of the criteria keeps. Without a criterion, all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetentionRule {
    /// Repositories that it is for; none stands for all.
    pub repositories: Vec<Pattern>,
    /// Tags that it is for; none stands for all.
    pub tags: Vec<Pattern>,
    /// So many of the newest.
    pub keep_last: Option<usize>,
    /// Those that were set so recently.
    pub keep_for: Option<Duration>,
}

/// What is in a repository.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RepositoryFacts {
    pub(crate) tags: BTreeMap<Tag, TagFacts>,
    pub(crate) manifests: BTreeMap<ContentDigest, ManifestFacts>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TagFacts {
    pub(crate) digest: ContentDigest,
    /// In seconds since 1970.
    pub(crate) since: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ManifestFacts {
    /// In seconds since 1970.
    pub(crate) pushed: u64,
    pub(crate) children: Vec<ContentDigest>,
    pub(crate) subject: Option<ContentDigest>,
}

/// What goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Deletions {
    pub(crate) tags: Vec<Tag>,
    /// An index before its children: whoever is interrupted leaves none without them.
    pub(crate) manifests: Vec<ContentDigest>,
}

/// What `policy` lets go of in the repository `name`, at `now` in seconds since 1970. Immutable tags stay.
pub(crate) fn retain(
    policy: &Policy,
    name: &RepositoryName,
    facts: &RepositoryFacts,
    is_immutable: &dyn Fn(&Tag) -> bool,
    now: u64,
) -> Deletions {
    let mut going = expired_tags(policy, name, facts, is_immutable, now);
    // A signature under a tag hangs on what it signs, where that is here; then it is no reason to keep anything.
    let hangs = |tag: &Tag| {
        subject_of(tag).filter(|subject| facts.manifests.contains_key(subject) && !is_immutable(tag))
    };
    let staying = facts.tags.iter().filter(|(tag, _)| !going.contains(*tag) && hangs(tag).is_none());
    let is_young = |pushed: u64| now.saturating_sub(pushed) < policy.keep_untagged_for.as_secs();
    let young = facts.manifests.iter().filter(|(_, manifest)| is_young(manifest.pushed));
    let tagged = staying.map(|(_, meant)| &meant.digest);
    let kept = reach(facts, tagged.chain(young.map(|(digest, _)| digest)).cloned().collect());
    let orphans = facts.tags.keys().filter(|tag| hangs(tag).is_some_and(|subject| !kept.contains(&subject)));
    going.extend(orphans.cloned());
    let gone = facts.manifests.keys().filter(|digest| !kept.contains(*digest)).cloned().collect();
    Deletions { tags: going.into_iter().collect(), manifests: parents_first(facts, gone) }
}

fn expired_tags(
    policy: &Policy,
    name: &RepositoryName,
    facts: &RepositoryFacts,
    is_immutable: &dyn Fn(&Tag) -> bool,
    now: u64,
) -> BTreeSet<Tag> {
    let mut by_rule: BTreeMap<usize, Vec<(&Tag, u64)>> = BTreeMap::new();
    for (tag, meant) in facts.tags.iter().filter(|(tag, _)| subject_of(tag).is_none()) {
        if let Some(rule) = policy.rules.iter().position(|rule| rule.is_about(name, tag)) {
            by_rule.entry(rule).or_default().push((tag, meant.since));
        }
    }
    let mut expired = BTreeSet::new();
    for (rule, mut tags) in by_rule {
        let rule = &policy.rules[rule];
        // The newest first; of tags that were set in one second, the last by name.
        tags.sort_by(|(tag, since), (other, before)| (before, other).cmp(&(since, tag)));
        let too_many = tags.iter().enumerate().filter(|(place, (tag, since))| {
            !rule.keeps(*place, now.saturating_sub(*since)) && !is_immutable(tag)
        });
        expired.extend(too_many.map(|(_, (tag, _))| (*tag).clone()));
    }
    expired
}

impl RetentionRule {
    fn is_about(&self, name: &RepositoryName, tag: &Tag) -> bool {
        let fits = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        fits(&self.repositories, name.as_str()) && fits(&self.tags, tag.as_str())
    }

    /// Whether the tag at `place` among the newest, of `age` seconds, stays.
    fn keeps(&self, place: usize, age: u64) -> bool {
        let by_place = self.keep_last.is_some_and(|count| place < count);
        let by_age = self.keep_for.is_some_and(|time| age < time.as_secs());
        (self.keep_last.is_none() && self.keep_for.is_none()) || by_place || by_age
    }
}

/// The manifests that `roots` lead to: children of indexes, and what has one of them as its subject.
fn reach(facts: &RepositoryFacts, roots: Vec<ContentDigest>) -> BTreeSet<ContentDigest> {
    let mut referrers: BTreeMap<ContentDigest, Vec<&ContentDigest>> = BTreeMap::new();
    let by_field = facts.manifests.iter().map(|(digest, manifest)| (manifest.subject.clone(), digest));
    let by_tag = facts.tags.iter().map(|(tag, meant)| (subject_of(tag), &meant.digest));
    for (subject, referrer) in by_field.chain(by_tag) {
        if let Some(subject) = subject {
            referrers.entry(subject).or_default().push(referrer);
        }
    }
    let mut reached = BTreeSet::new();
    let mut open = roots;
    while let Some(digest) = open.pop() {
        if let Some(manifest) = facts.manifests.get(&digest) {
            open.extend(manifest.children.iter().filter(|child| !reached.contains(*child)).cloned());
        }
        let about = referrers.get(&digest).into_iter().flatten();
        open.extend(
            about.filter(|referrer| !reached.contains(**referrer)).map(|referrer| (*referrer).clone()),
        );
        reached.insert(digest);
    }
    reached
}

/// The manifest that a tag of the referrers tag schema is about: `sha256-HEX`, or with `.sig` and the like behind it.
fn subject_of(tag: &Tag) -> Option<ContentDigest> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    let hex = rest.split_once('.').map_or(rest, |(hex, _)| hex);
    format!("{algorithm}:{hex}").parse().ok()
}

fn parents_first(facts: &RepositoryFacts, gone: BTreeSet<ContentDigest>) -> Vec<ContentDigest> {
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    // Children are put in place before their parents, and then the whole is turned around.
    for digest in &gone {
        let mut open = vec![(digest.clone(), false)];
        while let Some((digest, is_done)) = open.pop() {
            if is_done {
                order.push(digest);
                continue;
            }
            if !gone.contains(&digest) || !seen.insert(digest.clone()) {
                continue;
            }
            let children = facts.manifests.get(&digest).map(|manifest| manifest.children.clone());
            open.push((digest, true));
            open.extend(children.unwrap_or_default().into_iter().map(|child| (child, false)));
        }
    }
    order.reverse();
    order
}

#[cfg(test)]
mod tests;
