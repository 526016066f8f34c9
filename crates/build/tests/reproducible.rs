//! The same sources give the same image, wherever and whenever they are built.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use support::Workshop;

const DOCKERFILE: &str = "FROM scratch AS one\nCOPY . /src/\nRUN make\nWORKDIR /work\nFROM scratch\nCOPY --from=one /src /out\nLABEL a=b\n";

fn fill(workshop: &Workshop, modified: SystemTime) {
    for path in ["z", "a", "folder/b", "folder/deeper/c", "folder.with.dot/d", "folder-with-dash/e"] {
        workshop.write(path, path);
        File::options()
            .write(true)
            .open(workshop.context().join(path))
            .unwrap()
            .set_modified(modified)
            .unwrap();
    }
}

#[test]
fn two_folders_at_two_times_give_one_image() {
    let (one, other) = (Workshop::new(), Workshop::new());
    fill(&one, SystemTime::now());
    fill(&other, SystemTime::now() - Duration::from_secs(400 * 86_400));
    let (one, other) = (one.build(DOCKERFILE).unwrap(), other.build(DOCKERFILE).unwrap());
    assert_eq!(one.image.id, other.image.id);
}

#[test]
fn a_layer_written_out_again_has_the_digest_that_was_computed_while_copying() {
    let workshop = Workshop::new();
    fill(&workshop, SystemTime::now());
    std::fs::hard_link(workshop.context().join("a"), workshop.context().join("folder/hard")).unwrap();
    std::os::unix::fs::symlink("../a", workshop.context().join("folder/soft")).unwrap();
    let built = workshop.build(DOCKERFILE).unwrap();
    for layer in workshop.store.image_layers(&built.image).unwrap() {
        let tar = minato_oci::layer::write_tar(&layer.path, Vec::new()).unwrap();
        assert_eq!(minato_oci::Digest::sha256(&tar), layer.diff_id);
        assert_eq!(tar.len() as u64, layer.size);
    }
}

#[test]
fn files_of_later_layers_look_newer() {
    let workshop = Workshop::new();
    workshop.write("a", "a").write("b", "b");
    let built = workshop.build("FROM scratch\nCOPY a /a\nRUN make\nCOPY b /b\n").unwrap();
    let layers = workshop.layers(&built);
    let times: Vec<i64> = ["a", "ran", "b"]
        .iter()
        .zip(&layers)
        .map(|(file, layer)| std::fs::metadata(layer.join(file)).unwrap().mtime())
        .collect();
    assert_eq!(times, [315_619_200, 315_619_201, 315_619_202]);
}

#[test]
fn source_date_epoch_is_the_time_of_everything() {
    let workshop = Workshop::new();
    workshop.write("a", "a");
    let mut request = workshop.request("FROM scratch\nCOPY a /a\nRUN make\n");
    request.arguments.insert("SOURCE_DATE_EPOCH".to_owned(), "1000000000".to_owned());
    let built = workshop.build_request(&request).unwrap();
    for (layer, file) in workshop.layers(&built).iter().zip(["a", "ran"]) {
        assert_eq!(std::fs::metadata(layer.join(file)).unwrap().mtime(), 1_000_000_000);
    }
    let created = Some("2001-09-09T01:46:40Z".to_owned());
    assert_eq!(built.image.config.created, created);
    assert!(built.image.config.history.iter().all(|entry| entry.created == created));
}
