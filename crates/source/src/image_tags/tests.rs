//! The tables of metadata-action's README ("type=…", "flavor", "Typical use"), and what must not work.

use super::*;

const COMMIT: &str = "90dd6032fac8bda1b6c4436a2e65de27961ed071";

fn facts(event: &str, reference: &str) -> Facts {
    Facts {
        event: Some(event.into()),
        reference: Some(reference.to_owned()),
        commit: Some(COMMIT.to_owned()),
        committed: Some("2024-01-10T00:30:00Z".parse().unwrap()),
        now: "2024-02-01T01:02:03Z".parse().unwrap(),
        repository: Repository {
            name: Some("Hello-World".to_owned()),
            url: Some("https://github.com/octocat/Hello-World".to_owned()),
            license: Some("MIT".to_owned()),
            default_branch: Some("master".to_owned()),
            description: None,
        },
        ..Facts::default()
    }
}

fn tags_of(rules: &[&str], flavor: &[&str], facts: &Facts) -> Result<ImageTags, RuleError> {
    let rules: Vec<Rule> = rules.iter().map(|rule| Rule::parse(rule)).collect::<Result<_, _>>()?;
    let mut all = Flavor::default();
    flavor.iter().try_for_each(|line| all.add(line))?;
    image_tags(&rules, &all, facts)
}

fn check(rules: &[&str], flavor: &[&str], event: &str, reference: &str, expected: &[&str]) {
    let found = tags_of(rules, flavor, &facts(event, reference)).unwrap();
    assert_eq!(found.tags, expected, "{rules:?} {flavor:?} {event} {reference}");
    assert_eq!(found.version.as_deref(), expected.first().copied());
}

#[test]
fn without_rules_the_ref_decides() {
    for (event, reference, expected) in [
        ("schedule", "refs/heads/master", &["nightly", "master"][..]),
        ("pull_request", "refs/pull/2/merge", &["pr-2"]),
        ("push", "refs/heads/master", &["master"]),
        ("push", "refs/heads/releases/v1", &["releases-v1"]),
        ("push", "refs/tags/v1.2.3", &["v1.2.3", "latest"]),
        ("push", "refs/tags/v2.0.8-beta.67", &["v2.0.8-beta.67", "latest"]),
        ("workflow_dispatch", "refs/heads/master", &["master"]),
    ] {
        check(&[], &[], event, reference, expected);
    }
}

#[test]
fn semantic_versions_give_their_series_and_prereleases_only_themselves() {
    let rules = [
        "type=semver,pattern={{version}}",
        "type=semver,pattern={{major}}.{{minor}}",
        "type=semver,pattern={{major}}",
    ];
    for (tag, expected) in [
        ("v1.2.3", &["1.2.3", "1.2", "1", "latest"][..]),
        ("1.2.3", &["1.2.3", "1.2", "1", "latest"]),
        ("v2.0.8-beta.67", &["2.0.8-beta.67"]),
        ("v1.2.3+build", &["1.2.3", "1.2", "1", "latest"]),
        ("20200110-RC2", &[]),
        ("main", &[]),
    ] {
        check(&rules, &[], "push", &format!("refs/tags/{tag}"), expected);
    }
    check(&rules, &[], "push", "refs/heads/v1.2.3", &[]);
    check(&["type=semver,pattern={{raw}}"], &[], "push", "refs/tags/v1.2.3", &["v1.2.3", "latest"]);
    check(&["type=semver,pattern={{raw}}"], &[], "push", "refs/tags/v1.0.0-rc1", &["v1.0.0-rc1"]);
    check(
        &["type=semver,pattern=v{{major}}.{{minor}}.{{patch}}-x"],
        &[],
        "push",
        "refs/tags/v1.2.3",
        &["v1.2.3-x", "latest"],
    );
    check(
        &["type=semver,pattern={{version}},value=v1.0.0"],
        &[],
        "push",
        "refs/heads/dev",
        &["1.0.0", "latest"],
    );
    let none = tags_of(&rules, &[], &facts("push", "refs/tags/main")).unwrap();
    assert!(none.warnings[0].contains("main is no semantic version"), "{none:?}");
}

#[test]
fn python_versions_too() {
    let rules = ["type=pep440,pattern={{version}}", "type=pep440,pattern={{major}}.{{minor}}"];
    for (tag, expected) in [
        ("1.2.3", &["1.2.3", "1.2", "latest"][..]),
        ("v1.2.3rc2", &["1.2.3rc2"]),
        ("1.2.3rc1", &["1.2.3rc1"]),
        ("1.2.3.post1", &["1.2.3.post1"]),
        ("1.2.3.dev4", &["1.2.3.dev4"]),
        ("main", &[]),
    ] {
        check(&rules, &[], "push", &format!("refs/tags/{tag}"), expected);
    }
}

#[test]
fn patterns_choose_a_group() {
    for (rule, tag, expected) in [
        (r"type=match,pattern=\d{8}", "v20200110-RC2", &["20200110", "latest"][..]),
        (r"type=match,pattern=\d{8}", "p1/v2020", &[]),
        (r"type=match,pattern=p1-v(\d.\d.\d),group=1", "p1-v1.0.0", &["1.0.0", "latest"]),
        (r"type=match,pattern=/^V(\d)$/i,group=1", "v3", &["3", "latest"]),
        (r"type=match,pattern=v(\d),group=2", "v3", &[]),
        (r"type=match,pattern=v(?P<n>\d),group=n", "v3", &["3", "latest"]),
        (r#"type=match,"pattern=v(\d{1,2})",group=1"#, "v12", &["12", "latest"]),
        (r"type=match,pattern=.*", "a/b/c", &["a-b-c", "latest"]),
    ] {
        check(&[rule], &[], "push", &format!("refs/tags/{tag}"), expected);
    }
}

#[test]
fn the_other_types_and_their_defaults() {
    for (rule, event, reference, expected) in [
        ("type=schedule", "schedule", "refs/heads/master", &["nightly"][..]),
        ("type=schedule,pattern={{date 'YYYYMMDD'}}", "schedule", "refs/heads/master", &["20240201"]),
        (
            "type=schedule,pattern={{date 'YYYYMMDD-HH' tz='Asia/Tokyo'}}",
            "schedule",
            "refs/heads/master",
            &["20240201-10"],
        ),
        ("type=schedule", "push", "refs/heads/master", &[]),
        ("type=edge", "push", "refs/heads/master", &["edge"]),
        ("type=edge,branch=main", "push", "refs/heads/master", &[]),
        ("type=edge,branch=main", "push", "refs/heads/main", &["edge"]),
        ("type=ref,event=branch", "push", "refs/tags/v1", &[]),
        ("type=ref,event=branch,prefix=b-", "push", "refs/heads/my/branch", &["b-my-branch"]),
        ("type=ref,event=pr", "pull_request", "refs/pull/2/merge", &["pr-2"]),
        ("type=ref,event=pr,prefix=", "pull_request", "refs/pull/2/merge", &["2"]),
        ("type=ref,event=tag", "push", "refs/tags/v1", &["v1", "latest"]),
        ("type=raw,value=foo", "push", "refs/heads/x", &["foo"]),
        ("foo", "push", "refs/heads/x", &["foo"]),
        ("type=raw,value=latest", "push", "refs/heads/x", &["latest"]),
        ("type=raw,value=latest,enable={{is_default_branch}}", "push", "refs/heads/master", &["latest"]),
        ("type=raw,value=latest,enable={{is_default_branch}}", "push", "refs/heads/x", &[]),
        ("type=raw,value=x,enable={{is_not_default_branch}}", "push", "refs/heads/x", &["x"]),
        (
            "type=raw,value={{branch}}-{{sha}}-{{date 'X'}}",
            "push",
            "refs/heads/a/b",
            &["a-b-90dd603-1706749323"],
        ),
        ("type=raw,value={{commit_date 'YYYYMMDD'}}", "push", "refs/heads/a", &["20240110"]),
        ("type=raw,value=x{{tag}}", "push", "refs/heads/a", &["x"]),
        ("type=sha", "push", "refs/heads/x", &["sha-90dd603"]),
        ("type=sha,format=long,prefix=", "push", "refs/heads/x", &[COMMIT]),
        ("type=sha,suffix=-{{branch}}", "push", "refs/heads/x", &["sha-90dd603-x"]),
        ("type=raw,value=%%%bad@chars", "push", "refs/heads/x", &[]),
    ] {
        match expected {
            [] if rule.contains("bad") => {
                let error = tags_of(&[rule], &[], &facts(event, reference)).unwrap_err().to_string();
                assert!(error.contains("\"-bad-chars\", which is no tag"), "{error}");
            }
            _ => check(&[rule], &[], event, reference, expected),
        }
    }
}

#[test]
fn priorities_order_the_rules_and_the_first_decides_on_latest() {
    let rules = ["type=sha", "type=raw,value=raw", "type=ref,event=tag", "type=semver,pattern={{version}}"];
    check(&rules, &[], "push", "refs/tags/v1.2.3", &["1.2.3", "v1.2.3", "raw", "sha-90dd603", "latest"]);
    let first = ["type=raw,value=first,priority=2000", "type=ref,event=tag"];
    check(&first, &[], "push", "refs/tags/v1", &["first", "v1"]);
    check(&["type=raw,value=v1", "type=ref,event=tag"], &[], "push", "refs/tags/v1", &["v1", "latest"]);
}

#[test]
fn a_flavor_is_for_all_tags() {
    let rules = ["type=ref,event=branch", "type=sha"];
    check(&rules, &["latest=true"], "push", "refs/heads/dev", &["dev", "sha-90dd603", "latest"]);
    check(&["type=ref,event=tag"], &["latest=false"], "push", "refs/tags/v1", &["v1"]);
    check(&rules, &["prefix=a-", "suffix=-z"], "push", "refs/heads/dev", &["a-dev-z", "sha-90dd603-z"]);
    let on_latest = ["latest=true", "prefix=a-,onlatest=true", "suffix=-z,onlatest=true"];
    check(&["type=ref,event=branch"], &on_latest, "push", "refs/heads/dev", &["a-dev-z", "a-latest-z"]);
    check(&["type=ref,event=branch"], &["suffix=-{{sha}}"], "push", "refs/heads/dev", &["dev-90dd603"]);
}

#[test]
fn labels_describe_the_image() {
    let found =
        tags_of(&["type=semver,pattern={{version}}"], &[], &facts("push", "refs/tags/v1.2.3")).unwrap();
    let labels: Vec<String> = found.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        labels.join("\n"),
        "org.opencontainers.image.created=2024-01-10T00:30:00Z\n\
         org.opencontainers.image.licenses=MIT\n\
         org.opencontainers.image.revision=90dd6032fac8bda1b6c4436a2e65de27961ed071\n\
         org.opencontainers.image.source=https://github.com/octocat/Hello-World\n\
         org.opencontainers.image.title=Hello-World\n\
         org.opencontainers.image.url=https://github.com/octocat/Hello-World\n\
         org.opencontainers.image.version=1.2.3"
    );
}

#[test]
fn what_can_not_be_followed_is_an_error() {
    for (rule, expected) in [
        ("type=semver", "needs pattern="),
        ("type=match", "needs pattern="),
        ("type=raw", "needs value="),
        ("type=ref", "needs event="),
        ("type=ref,event=push", "expected branch, tag or pr"),
        ("type=other,value=x", "expected schedule, semver"),
        ("type=sha,format=medium", "expected short or long"),
        ("type=sha,colour=red", "colour is no field"),
        ("type=raw,value=x,priority=high", "is no number"),
        ("type=raw,value=x,enable=maybe", "neither true nor false"),
        ("type=raw,value={{brnch}}", "{{brnch}} is not known"),
        ("type=raw,value={{sha", "no }}"),
        ("type=raw,value={{date 'X' tz='No/Where'}}", "time zone"),
        ("type=raw,value={{date X}}", "expected 'FORMAT'"),
        ("type=match,pattern=(,value=x", "unclosed group"),
        ("type=raw,value=x,y", "no key=value"),
        ("type=raw,\"value=x", "quote"),
        ("type=raw,value=-x", "which is no tag"),
    ] {
        let error = tags_of(&[rule], &[], &facts("push", "refs/heads/x")).unwrap_err().to_string();
        assert!(error.contains(expected) && error.starts_with("tag rule"), "{rule}: {error}");
    }
    for line in ["latest=maybe", "onlatest=true", "colour=red", "prefix=a,onlatest=perhaps"] {
        tags_of(&[], &[line], &facts("push", "refs/heads/x")).unwrap_err();
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_names_every_tag_is_one(name in "\\PC{1,40}", rule in "type=[a-z]{1,8}(,[a-z]{1,8}=[ -~]{0,12}){0,3}") {
        let facts = facts("push", &format!("refs/heads/{name}"));
        for rules in [vec![], vec![rule.as_str()]] {
            if let Ok(found) = tags_of(&rules, &[], &facts) {
                assert!(found.tags.iter().all(|tag| is_tag(tag)), "{found:?}");
            }
        }
    }
}
