//! Whatever the trees and the destination: a copy writes into its layer and nowhere else.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::layer::write;
use crate::tree::{Snapshot, StatCache};

/// One thing in a random tree.
#[derive(Clone, Debug)]
enum Thing {
    Folder(String),
    File(String),
    Link(String, String),
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "etc", "a b", "..x"]).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join("/"))
}

fn target() -> impl Strategy<Value = String> {
    let outside = prop::sample::select(vec![
        "/",
        "..",
        "../..",
        "../../../outside",
        "/outside",
        ".",
        "/a",
        "../b",
        "c/..",
    ]);
    prop_oneof![outside.prop_map(str::to_owned), path(), path().prop_map(|path| format!("/{path}"))]
}

fn tree() -> impl Strategy<Value = Vec<Thing>> {
    let thing = prop_oneof![
        path().prop_map(Thing::Folder),
        path().prop_map(Thing::File),
        (path(), target()).prop_map(|(path, target)| Thing::Link(path, target)),
    ];
    prop::collection::vec(thing, 0..12)
}

fn destination() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec!["/", "/.", "/../../outside", "/a/../../b/", "/outside/"]);
    prop_oneof![
        odd.prop_map(str::to_owned),
        path().prop_map(|path| format!("/{path}")),
        path().prop_map(|path| format!("/{path}/"))
    ]
}

/// Makes what can be made; links are not followed on the way.
fn make(root: &Path, things: &[Thing]) {
    std::fs::create_dir_all(root).unwrap();
    for thing in things {
        let (Thing::Folder(path) | Thing::File(path) | Thing::Link(path, _)) = thing;
        let is_blocked = |parent: &Path| root.join(parent).symlink_metadata().is_ok_and(|it| !it.is_dir());
        let blocked = Path::new(path).ancestors().skip(1).any(is_blocked);
        let place = root.join(path);
        if blocked || place.symlink_metadata().is_ok() {
            continue;
        }
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        match thing {
            Thing::Folder(_) => std::fs::create_dir(place).unwrap(),
            Thing::File(path) => std::fs::write(place, path).unwrap(),
            Thing::Link(_, target) => symlink(target, place).unwrap(),
        }
    }
}

/// Everything below a folder, with contents.
fn listing(folder: &Path) -> BTreeMap<PathBuf, String> {
    let found = Snapshot::of_folder(folder).below(Path::new("")).unwrap();
    found
        .into_iter()
        .map(|(path, node)| {
            let content = if node.kind == Kind::File {
                std::fs::read_to_string(&node.place).unwrap()
            } else {
                String::new()
            };
            (path, format!("{:?} {content}", node.kind))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_copy_writes_into_its_layer_and_nowhere_else(
        below in tree(),
        sources in tree(),
        source in prop_oneof![path(), Just(".".to_owned()), Just("*".to_owned()), Just("../..".to_owned())],
        destination in destination(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        make(&place("below"), &below);
        make(&place("sources"), &sources);
        std::fs::create_dir(place("layer")).unwrap();
        std::fs::create_dir(place("outside")).unwrap();
        std::fs::write(place("outside/file"), "untouched").unwrap();
        let before = ["below", "sources", "outside"].map(|name| listing(&place(name)));

        let (root, tree) = (Snapshot::of_folder(&place("below")), Snapshot::of_folder(&place("sources")));
        let mut copier = Copier::new(Target::new(&root), Some(Owner::ROOT), None);
        let copied = matches(&tree, &source).and_then(|paths| {
            paths.iter().try_for_each(|path| copier.copy(&tree, path, &Selection::default(), &destination))
        });
        if copied.is_ok() {
            let plan = copier.target.into_plan();
            let written = write(&plan, 0, &place("layer"), &StatCache::empty()).unwrap();
            // What was hashed on the way is what stands there.
            let tar = minato_oci::layer::write_tar(&place("layer"), Vec::new()).unwrap();
            prop_assert_eq!(minato_oci::Digest::sha256(&tar), written.diff_id);
            prop_assert_eq!(listing(&place("layer")).len(), plan.entries().len());
        }
        prop_assert_eq!(["below", "sources", "outside"].map(|name| listing(&place(name))), before);
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_path_never_leaves_its_tree(things in tree(), asked in target()) {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), &things);
        let tree = Snapshot::of_folder(folder.path());
        if let Ok(found) = resolve(&tree, Path::new(&asked)) {
            prop_assert!(found.components().all(|it| matches!(it, std::path::Component::Normal(_))));
            // What comes out has no link in it any more.
            for parent in found.ancestors().filter(|parent| !parent.as_os_str().is_empty()) {
                let kind = tree.node(parent).unwrap().map(|node| node.kind);
                prop_assert!(!matches!(kind, Some(Kind::Symlink(_))), "{parent:?}");
            }
        }
    }

    #[test]
    fn patterns_end_and_an_escaped_name_matches_itself(pattern in "[ab*?\\[\\]\\\\^-]{0,12}", text in "[ab*?\\[\\]\\\\^-]{0,12}") {
        // Malformed or not, it ends.
        let _answer = pattern::matches(&pattern, &text);
        let escaped: String = text.chars().flat_map(|character| ['\\', character]).collect();
        prop_assert!(pattern::matches(&escaped, &text).unwrap());
        prop_assert!(pattern::matches("*", &text).unwrap());
    }
}
