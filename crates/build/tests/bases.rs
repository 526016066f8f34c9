//! What a stage can start from.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use minato_build::{Bases, BuildError, Builder, Built, Cancelled, FetchError, Request, Silent};
use minato_oci::export::{Export, ExportOptions, Packed};
use minato_oci::layout::{Item, write_folder};
use minato_oci::{Image, Platform, Reference, Store};
use support::{Workshop, steps};

/// An image with a file `/base` and a label, built and tagged in the workshop's store.
fn base(workshop: &Workshop, name: &str) -> Built {
    workshop.write("base", "base");
    let built = workshop.build("FROM scratch\nCOPY base /base\nLABEL from=base\nUSER somebody\n").unwrap();
    workshop.store.tag(&name.parse().unwrap(), &built.image.id).unwrap();
    built
}

#[test]
fn an_image_of_the_store_is_taken_without_asking() {
    let workshop = Workshop::new();
    let base = base(&workshop, "registry.example/base:1");
    let built = workshop.build("FROM registry.example/base:1\nRUN make\n").unwrap();
    let config = &built.image.config;
    assert_eq!(config.rootfs.diff_ids[..1], base.image.config.rootfs.diff_ids);
    assert_eq!((config.config.user.as_str(), config.config.labels["from"].as_str()), ("somebody", "base"));
    assert_eq!(config.history.len(), 4);
}

#[test]
fn a_layout_of_this_machine_is_a_base() {
    let workshop = Workshop::new();
    let base = base(&workshop, "base:1");
    let layout = workshop.folder().join("layout");
    let names = [(base.image.clone(), vec!["base:1".parse::<Reference>().unwrap()])];
    write_layout(&workshop.store, &layout, &names);
    let other = Workshop::new();
    for from in [format!("oci-layout://{}", layout.display()), format!("oci-layout://{}:1", layout.display())]
    {
        let built = other.build(&format!("FROM {from}\nRUN make\n")).unwrap();
        assert_eq!(built.image.config.rootfs.diff_ids[..1], base.image.config.rootfs.diff_ids, "{from}");
    }
    let error = other.build("FROM oci-layout:///nowhere\n").unwrap_err().to_string();
    assert!(error.starts_with("Dockerfile:1:1: FROM oci-layout:///nowhere: "), "{error}");
}

fn write_layout(store: &Store, layout: &std::path::Path, images: &[(Image, Vec<Reference>)]) {
    let pack = |(image, _): &(Image, Vec<Reference>)| {
        let export = Export::plan(store, std::slice::from_ref(image), ExportOptions::default()).unwrap();
        export.pack(store).unwrap()
    };
    let packed: Vec<Packed> = images.iter().map(pack).collect();
    let items = packed.iter().zip(images).map(|(packed, (_, names))| Item::new(packed, names));
    write_folder(store, &items.collect::<Vec<_>>(), layout).unwrap();
}

/// A registry that has one image.
struct Registry<'a> {
    store: &'a Store,
    id: minato_oci::Digest,
}

impl Bases for Registry<'_> {
    fn fetch(&self, reference: &Reference, _: &Platform) -> Result<Image, FetchError> {
        match reference.repository() {
            "library/remote" => Ok(self.store.image(&self.id).unwrap().unwrap()),
            _ => Err(FetchError::new("the registry does not have it")),
        }
    }
}

fn build_with_registry(workshop: &Workshop, request: &Request) -> Result<Built, BuildError> {
    let id = base(workshop, "hidden:1").image.id;
    let builder = Builder {
        store: &workshop.store,
        cache: &workshop.cache(),
        executor: workshop.executor.as_ref(),
        bases: &Registry { store: &workshop.store, id },
        progress: &Silent,
        cancelled: Cancelled::default(),
    };
    builder.build(request)
}

#[test]
fn what_the_store_lacks_comes_from_the_registry() {
    let workshop = Workshop::new();
    let request = workshop.request(
        "FROM remote:1 AS one\nFROM scratch\nCOPY --from=remote:1 /base /a\nCOPY --from=one /base /b\n",
    );
    let built = build_with_registry(&workshop, &request).unwrap();
    assert_eq!(steps(&built), "..");
    let error = build_with_registry(&workshop, &workshop.request("FROM scratch\nCOPY --from=none:1 / /\n"));
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "Dockerfile:2:1: COPY --from=none:1 / /: none:1: the registry does not have it");
}

#[test]
fn pull_asks_the_registry_even_for_what_is_here() {
    let workshop = Workshop::new();
    base(&workshop, "local:1");
    let mut request = workshop.request("FROM local:1\n");
    build_with_registry(&workshop, &request).unwrap();
    request.pull = true;
    let error = build_with_registry(&workshop, &request).unwrap_err().to_string();
    assert!(error.contains("the registry does not have it"), "{error}");
}

#[test]
fn triggers_of_a_base_are_done_once_and_their_mistakes_show_at_the_from() {
    let workshop = Workshop::new();
    let mut config = base(&workshop, "base:1").image.config;
    let mut build = |trigger: &str| {
        config.config.on_build = vec![trigger.to_owned()];
        let image = workshop.store.save_image(&config).unwrap();
        workshop.store.tag(&"triggers:1".parse().unwrap(), &image.id).unwrap();
        workshop.build("FROM scratch\nFROM triggers:1\n").map_err(|error| error.to_string())
    };
    let built = build("RUN make").unwrap();
    assert_eq!((steps(&built).as_str(), built.steps[0].name.line), (".", 2));
    assert!(built.image.config.config.on_build.is_empty());
    for (trigger, told) in [
        ("RUM make", "ONBUILD RUM make of the base: "),
        ("COPY --from=0 /a /", "ONBUILD COPY --from=0 /a / of the base is not supported yet"),
    ] {
        let error = build(trigger).unwrap_err();
        assert!(error.starts_with("Dockerfile:2:1: FROM triggers:1: ") && error.contains(told), "{error}");
    }
}

#[test]
fn an_image_for_another_processor_is_not_taken() {
    let workshop = Workshop::new();
    let mut config = base(&workshop, "base:1").image.config;
    config.architecture = "s390x".to_owned();
    let image = workshop.store.save_image(&config).unwrap();
    workshop.store.tag(&"foreign:1".parse().unwrap(), &image.id).unwrap();
    let error = workshop.build("FROM foreign:1\n").unwrap_err().to_string();
    assert!(error.contains("foreign:1"), "{error}");
}

#[test]
fn provenance_names_materials_and_no_values_of_arguments() {
    use minato_build::provenance::{Detail, statement};
    let workshop = Workshop::new();
    let base = base(&workshop, "base:1");
    let mut request = workshop.request("ARG TOKEN\nFROM base:1\nRUN make\n");
    request.arguments.insert("TOKEN".to_owned(), "s3cret".to_owned());
    request.secrets.insert("npm".to_owned(), minato_build::Secret::new(b"hidden".to_vec()));
    let built = workshop.build_request(&request).unwrap();
    let subject = minato_oci::Digest::sha256(b"manifest");
    let names = ["team/app:1".parse::<Reference>().unwrap()];
    let of = |detail| statement(&built, &request, &names, &subject, detail);
    let min = of(Detail::Min);
    let definition = &min["predicate"]["buildDefinition"];
    assert_eq!(min["subject"][0]["digest"]["sha256"], subject.hex());
    assert_eq!(definition["resolvedDependencies"][0]["digest"]["sha256"], base.image.id.hex());
    let uri = definition["resolvedDependencies"][0]["uri"].as_str().unwrap();
    assert!(uri.starts_with("pkg:docker/base@1?platform=linux%2F"), "{uri}");
    assert_eq!(definition["externalParameters"]["request"]["arguments"][0], "TOKEN");
    assert!(!min.to_string().contains("s3cret") && !min.to_string().contains("hidden"), "{min}");
    let max = of(Detail::Max).to_string();
    assert!(max.contains("s3cret") && !max.contains("hidden") && max.contains("RUN make"), "{max}");
    assert_eq!(of(Detail::Min), min, "the same build is told in the same words");
}
