use proptest::prelude::*;

use super::*;
use crate::server::content::Algorithm;

const DAY: u64 = 86_400;
const NOW: u64 = 1000 * DAY;

fn digest(name: &str) -> ContentDigest {
    ContentDigest::of(Algorithm::Sha256, name.as_bytes())
}

fn repository() -> RepositoryName {
    "team/app".parse().unwrap()
}

/// `tag=manifest@age`, `manifest@age`, `index@age>child+child`, `referrer@age^subject`; ages in days.
fn facts(text: &str) -> RepositoryFacts {
    let mut facts = RepositoryFacts::default();
    for word in text.split_whitespace() {
        let (what, rest) = word.split_once('@').unwrap();
        let end = rest.find(['>', '^']).unwrap_or(rest.len());
        let since = NOW - rest[..end].parse::<u64>().unwrap() * DAY;
        if let Some((tag, meant)) = what.split_once('=') {
            facts.tags.insert(tag.parse().unwrap(), TagFacts { digest: digest(meant), since });
            facts.manifests.entry(digest(meant)).or_default().pushed = since;
            continue;
        }
        let manifest = facts.manifests.entry(digest(what)).or_default();
        manifest.pushed = since;
        if let Some(children) = rest[end..].strip_prefix('>') {
            manifest.children = children.split('+').map(digest).collect();
        }
        manifest.subject = rest[end..].strip_prefix('^').map(digest);
    }
    facts
}

fn rule(tags: &[&str], keep_last: Option<usize>, days: Option<u64>) -> RetentionRule {
    RetentionRule {
        repositories: Vec::new(),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        keep_last,
        keep_for: days.map(|days| Duration::from_secs(days * DAY)),
    }
}

fn policy(rules: Vec<RetentionRule>) -> Policy {
    Policy { rules, keep_untagged_for: Duration::from_secs(DAY) }
}

/// Names of the tags and manifests that go.
fn check(rules: Vec<RetentionRule>, text: &str, tags: &str, manifests: &str) {
    let facts = facts(text);
    let deletions = retain(&policy(rules), &repository(), &facts, &|tag| tag.as_str() == "fixed", NOW);
    let gone: Vec<&str> = deletions.tags.iter().map(Tag::as_str).collect();
    assert_eq!(gone.join(" "), tags, "tags of {text}");
    let expected: BTreeSet<ContentDigest> = manifests.split_whitespace().map(digest).collect();
    assert_eq!(deletions.manifests.into_iter().collect::<BTreeSet<_>>(), expected, "manifests of {text}");
}

#[test]
fn the_newest_and_the_young_stay() {
    let five = "a=ma@1 b=mb@2 c=mc@3 d=md@40 e=me@50";
    check(vec![rule(&[], Some(2), None)], five, "c d e", "mc md me");
    check(vec![rule(&[], None, Some(30))], five, "d e", "md me");
    check(vec![rule(&[], Some(4), Some(30))], five, "e", "me");
    check(vec![rule(&[], None, None)], five, "", "");
    check(vec![], five, "", "");
    check(vec![rule(&[], Some(0), None)], five, "a b c d e", "ma mb mc md me");
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rules = || vec![rule(&["v*"], None, None), rule(&["pr-*"], Some(1), None)];
    check(rules(), "v1=a@90 v2=b@80 pr-1=c@9 pr-2=d@8 main=e@99", "pr-1", "c");
    let elsewhere =
        RetentionRule { repositories: vec!["other/**".parse().unwrap()], ..rule(&[], Some(0), None) };
    check(vec![elsewhere], "a=b@9", "", "");
}

#[test]
fn what_a_tag_that_stays_leads_to_stays() {
    let none = || vec![rule(&["old*"], Some(0), None)];
    check(none(), "new=i@9 i@9>x+y x@9 y@9 old=x@9", "old", "");
    check(none(), "old=i@9 i@9>x+y x@9 y@9 new=x@9", "old", "i y");
    check(none(), "new=a@9 s@9^a b@9^s", "", "");
    check(none(), "old=a@9 s@9^a b@9^s", "old", "a s b");
    check(none(), "new=i@9 i@9>x x@9 sbom@9^x", "", "");
    check(none(), "old=a@9 fixed=a@9", "old", "");
    check(vec![rule(&[], Some(0), None)], "fixed=a@9 x=b@9", "x", "b");
}

#[test]
fn what_was_just_pushed_waits_for_its_tag() {
    check(vec![], "a=m@9 young@0 child@5 i@0>child", "", "");
    check(vec![], "a=m@9 alone@5", "", "alone");
}

#[test]
fn signatures_under_tags_go_with_what_they_sign() {
    let signature = format!("sha256-{}.sig", digest("m").hex());
    let of = |age: u64| format!("{signature}=s@{age}");
    check(
        vec![rule(&["old"], Some(0), None)],
        &format!("old=m@9 {}", of(9)),
        &format!("old {signature}"),
        "m s",
    );
    check(vec![rule(&[], Some(1), None)], &format!("new=m@1 {} x=y@5", of(900)), "x", "y");
}

#[test]
fn an_index_goes_before_its_children() {
    let facts = facts("a@9>b b@9>c c@9 keep=k@9");
    let deletions = retain(&policy(vec![]), &repository(), &facts, &|_| false, NOW);
    assert_eq!(deletions.manifests, [digest("a"), digest("b"), digest("c")]);
}

fn any_facts() -> impl Strategy<Value = RepositoryFacts> {
    let manifest = (0..20_u64, proptest::collection::vec(0..12_u8, 0..3), proptest::option::of(0..12_u8));
    let manifests = proptest::collection::vec(manifest, 1..12);
    let tags = proptest::collection::vec((0..12_u8, 0..20_u64), 0..10);
    (manifests, tags).prop_map(|(manifests, tags)| {
        let name = |number: u8| digest(&number.to_string());
        let mut facts = RepositoryFacts::default();
        for (number, (age, children, subject)) in (0_u8..).zip(manifests) {
            // No manifest can have itself among what its digest covers: numbers go down.
            let children = children.into_iter().filter(|child| *child < number).map(name).collect();
            let subject = subject.filter(|subject| *subject < number).map(name);
            let pushed = NOW - age * DAY;
            facts.manifests.insert(name(number), ManifestFacts { pushed, children, subject });
        }
        for (number, (meant, age)) in tags.into_iter().enumerate() {
            let signs = number % 3 == 2;
            let tag = if signs { format!("sha256-{}", name(meant).hex()) } else { format!("t{number}") };
            let meant = if signs { meant / 2 } else { meant };
            if facts.manifests.contains_key(&name(meant)) {
                let since = NOW - age * DAY;
                facts.tags.insert(tag.parse().unwrap(), TagFacts { digest: name(meant), since });
            }
        }
        facts
    })
}

fn after(facts: &RepositoryFacts, deletions: &Deletions) -> RepositoryFacts {
    let mut facts = facts.clone();
    facts.tags.retain(|tag, _| !deletions.tags.contains(tag));
    facts.manifests.retain(|digest, _| !deletions.manifests.contains(digest));
    facts
}

proptest! {
    #[test]
    fn nothing_that_stays_misses_anything(
        facts in any_facts(),
        last in proptest::option::of(0..4_usize),
        days in proptest::option::of(0..20_u64),
    ) {
        let policy = policy(vec![rule(&[], last, days)]);
        let is_immutable = |tag: &Tag| tag.as_str() == "t1";
        let deletions = retain(&policy, &repository(), &facts, &is_immutable, NOW);
        let left = after(&facts, &deletions);
        for (tag, meant) in &left.tags {
            prop_assert!(left.manifests.contains_key(&meant.digest), "{tag} means nothing");
        }
        for (digest, manifest) in &left.manifests {
            for child in &manifest.children {
                let was_there = facts.manifests.contains_key(child);
                prop_assert!(!was_there || left.manifests.contains_key(child), "{digest} lost {child}");
            }
        }
        for (digest, manifest) in &facts.manifests {
            let stays = manifest.subject.as_ref().is_some_and(|subject| left.manifests.contains_key(subject));
            prop_assert!(!stays || left.manifests.contains_key(digest), "a referrer of what stays went");
        }
        prop_assert!(!deletions.tags.iter().any(is_immutable));
        let kept = last.unwrap_or(0).min(facts.tags.keys().filter(|tag| subject_of(tag).is_none()).count());
        prop_assert!(left.tags.len() >= kept);
        let again = retain(&policy, &repository(), &left, &is_immutable, NOW);
        prop_assert_eq!(again, Deletions::default(), "a second time finds more");
    }
}
