//! `minato.yaml`: only what no other file can say.
//!
//! ```yaml
//! version: 1
//! images:                       # images that are built here
//! - name: ghcr.io/example/myapp
//!   context: .                  # default: the folder of minato.yaml
//!   dockerfile: Dockerfile      # default: Dockerfile in the context; relative to the context
//!   target: runner              # default: the last stage
//! deploy: k8s/base              # a folder or file of manifests
//! secrets:                      # where local values come from that the manifests only refer to
//!   env_file: local-secrets.env # or: environment: true
//! allow: [no-memory-limit]      # rules whose findings do not count
//! ```
//!
//! `schema/minato.schema.json` says the same to editors.

use std::sync::Arc;

use minato_oci::Reference;
use minato_resource::document::{Data, Entry, Node, read_yaml};
use minato_resource::{Diagnostic, SourceFile, Span, nearest};

/// The file's name, at the root of what `up` is given.
pub const CONFIGURATION_FILE: &str = "minato.yaml";

/// The one version there is.
const VERSION: u64 = 1;

const KEYS: [&str; 5] = ["version", "images", "deploy", "secrets", "allow"];
const IMAGE_KEYS: [&str; 4] = ["name", "context", "dockerfile", "target"];
const SECRETS_KEYS: [&str; 2] = ["env_file", "environment"];

/// What `minato.yaml` says. The default is what its absence says.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// The file; `None` when there is none.
    pub file: Option<Arc<SourceFile>>,
    /// Images that are built here.
    pub images: Vec<ImageBuild>,
    /// What is deployed: a folder or file of manifests.
    pub deploy: Option<Spanned<String>>,
    /// Where values come from that the manifests only refer to.
    pub secrets: Option<SecretsFrom>,
    /// Rules whose findings do not count.
    pub allow: Vec<Spanned<String>>,
}

/// A value with its place in `minato.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

/// An image that is built here.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBuild {
    /// Registry and repository, without tag and digest; `None` where the manifests say it.
    pub name: Option<Spanned<Reference>>,
    /// The folder whose files the build may use, relative to the root.
    pub context: String,
    /// The Dockerfile, relative to the context.
    pub dockerfile: String,
    /// The stage; `None` for the last.
    pub target: Option<String>,
}

impl ImageBuild {
    /// The Dockerfile of a folder, as when nothing is configured.
    pub fn in_folder(context: impl Into<String>) -> ImageBuild {
        ImageBuild { name: None, context: context.into(), dockerfile: "Dockerfile".to_owned(), target: None }
    }
}

/// Where local secret values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsFrom {
    /// A file of `NAME=value` lines, relative to the root.
    EnvFile(Spanned<String>),
    /// The environment of the command.
    Environment,
}

impl Configuration {
    /// Reads the file. A key that is not known, or a value of the wrong type, is an error with its place.
    pub fn parse(file: &Arc<SourceFile>) -> (Configuration, Vec<Diagnostic>) {
        let (documents, diagnostics) = read_yaml(file);
        let mut reader = Reader { file, diagnostics };
        let mut configuration = Configuration { file: Some(Arc::clone(file)), ..Configuration::default() };
        match documents.as_slice() {
            [] => {}
            [document] if document.is_null() => {}
            [document] => reader.document(document, &mut configuration),
            [_, second, ..] => {
                reader.error("minato.yaml holds one document; this is a second one", second.span);
            }
        }
        (configuration, reader.diagnostics)
    }
}

struct Reader<'file> {
    file: &'file Arc<SourceFile>,
    diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn document(&mut self, document: &Node, configuration: &mut Configuration) {
        let Some(entries) = self.mapping(document, "minato.yaml", &KEYS) else { return };
        self.version(document);
        for entry in entries {
            match entry.key.as_str() {
                "images" => configuration.images = self.images(&entry.value),
                "deploy" => configuration.deploy = self.text(entry),
                "secrets" => configuration.secrets = self.secrets(&entry.value),
                "allow" => configuration.allow = self.texts(&entry.value),
                _ => {}
            }
        }
    }

    fn version(&mut self, document: &Node) {
        match document.entry("version") {
            None => {
                let span = document.entries().first().map_or(document.span, |entry| entry.key_span);
                self.error(format!("`version` is missing; write `version: {VERSION}`"), span);
            }
            Some(Entry { value: Node { data: Data::Number(version), .. }, .. })
                if version.as_u64() == Some(VERSION) => {}
            Some(entry) => {
                let message = format!("this program reads version {VERSION} of minato.yaml");
                self.error(message, entry.value.span);
            }
        }
    }

    fn images(&mut self, node: &Node) -> Vec<ImageBuild> {
        let Some(items) = self.list(node, "`images`") else { return Vec::new() };
        let images: Vec<ImageBuild> = items.iter().filter_map(|item| self.image(item)).collect();
        for (index, image) in images.iter().enumerate() {
            let Some(name) = &image.name else { continue };
            let earlier = images[..index].iter().filter_map(|image| image.name.as_ref());
            if earlier.into_iter().any(|earlier| earlier.value == name.value) {
                self.error(format!("two images have the name `{}`", name.value.familiar()), name.span);
            }
        }
        images
    }

    fn image(&mut self, node: &Node) -> Option<ImageBuild> {
        let entries = self.mapping(node, "an image", &IMAGE_KEYS)?;
        let mut image = ImageBuild::in_folder(".");
        for entry in entries {
            let Some(text) = self.text(entry) else { continue };
            match entry.key.as_str() {
                "name" => image.name = self.image_name(text),
                "context" => image.context = text.value,
                "dockerfile" => image.dockerfile = text.value,
                "target" => image.target = Some(text.value),
                _ => {}
            }
        }
        if node.entry("name").is_none() {
            self.error("the image has no `name`: the repository that the manifests use", node.span);
        }
        Some(image)
    }

    fn image_name(&mut self, text: Spanned<String>) -> Option<Spanned<Reference>> {
        match text.value.parse::<Reference>() {
            Ok(name) if name.tag().is_none() && name.digest().is_none() => {
                Some(Spanned { value: name, span: text.span })
            }
            Ok(name) => {
                let message = format!(
                    "write the name without tag and digest, `{}`: the tag is the commit",
                    name.name()
                );
                self.error(message, text.span);
                None
            }
            Err(error) => {
                self.error(error.to_string(), text.span);
                None
            }
        }
    }

    fn secrets(&mut self, node: &Node) -> Option<SecretsFrom> {
        let entries = self.mapping(node, "`secrets`", &SECRETS_KEYS)?;
        let mut found = Vec::new();
        for entry in entries {
            match (entry.key.as_str(), &entry.value.data) {
                ("env_file", _) => found.extend(self.text(entry).map(SecretsFrom::EnvFile)),
                ("environment", Data::Bool(true)) => found.push(SecretsFrom::Environment),
                ("environment", Data::Bool(false)) => {}
                ("environment", _) => self.error("`environment` must be `true` or `false`", entry.value.span),
                _ => {}
            }
        }
        if found.len() > 1 {
            self.error("`secrets` takes `env_file` or `environment`, not both", node.span);
        }
        found.into_iter().next()
    }

    /// The entries of a mapping; keys that are not known are errors.
    fn mapping<'node>(&mut self, node: &'node Node, what: &str, keys: &[&str]) -> Option<&'node [Entry]> {
        let Data::Mapping(entries) = &node.data else {
            self.error(format!("{what} must be a mapping, not {}", node.kind_name()), node.span);
            return None;
        };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let message = format!("{what} has no key `{}`; it knows {}", entry.key, keys.join(", "));
            let diagnostic = Diagnostic::error("minato-yaml", message, self.file, entry.key_span);
            self.diagnostics.push(match nearest(&entry.key, keys.iter().copied()) {
                Some(meant) => diagnostic.with_hint(format!("did you mean `{meant}`?")),
                None => diagnostic,
            });
        }
        Some(entries)
    }

    fn list<'node>(&mut self, node: &'node Node, what: &str) -> Option<&'node [Node]> {
        match &node.data {
            Data::Sequence(items) => Some(items),
            Data::Null => None,
            _ => {
                self.error(format!("{what} must be a list, not {}", node.kind_name()), node.span);
                None
            }
        }
    }

    fn text(&mut self, entry: &Entry) -> Option<Spanned<String>> {
        match entry.value.as_str() {
            Some(text) if !text.is_empty() => {
                Some(Spanned { value: text.to_owned(), span: entry.value.span })
            }
            _ => {
                let found = if entry.value.as_str().is_some() { "empty" } else { entry.value.kind_name() };
                let span = if entry.value.span.is_empty() { entry.key_span } else { entry.value.span };
                self.error(format!("`{}` must be text, not {found}", entry.key), span);
                None
            }
        }
    }

    fn texts(&mut self, node: &Node) -> Vec<Spanned<String>> {
        let Some(items) = self.list(node, "`allow`") else { return Vec::new() };
        let mut texts = Vec::new();
        for item in items {
            match item.as_str() {
                Some(text) => texts.push(Spanned { value: text.to_owned(), span: item.span }),
                None => self.error(format!("a rule's name is text, not {}", item.kind_name()), item.span),
            }
        }
        texts
    }

    fn error(&mut self, message: impl Into<String>, span: Span) {
        self.diagnostics.push(Diagnostic::error("minato-yaml", message, self.file, span));
    }
}

#[cfg(test)]
mod tests;
