//! One kustomization: load what it names, generate, include components, transform, validate. What it leads to is
//! a layer of its own; components work on the layer that includes them.

use std::sync::Arc;

use minato_resource::{Diagnostic, SourceFile, Span};

use crate::configuration::{self, Configuration};
use crate::decode::Spanned;
use crate::generate;
use crate::kustomization::{self, BuildMetadata, Kind, Kustomization};
use crate::loader::{Loader, Operand, Root};
use crate::manifest;
use crate::plugin;
use crate::provenance::Step;
use crate::refusal::Refusal;
use crate::resources::Resources;
use crate::schema::Schema;
use crate::transform::{self, Transformer};
use crate::vars::Vars;

/// What ends a render: everything that is wrong is among the diagnostics already.
#[derive(Debug)]
pub(crate) struct Stopped;

/// What a kustomization makes: resources, the fields that transformations look at, and variables.
pub(crate) struct Layer {
    pub(crate) resources: Resources,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) vars: Vars,
}

impl Layer {
    fn empty() -> Layer {
        Layer {
            resources: Resources::default(),
            configuration: Configuration::built_in(),
            vars: Vars::default(),
        }
    }

    /// Takes in everything of another layer.
    fn merge(&mut self, other: Layer) -> Result<(), Refusal> {
        self.resources.append_all(other.resources.into_list())?;
        self.add_configuration(&other.configuration)?;
        self.vars.merge(other.vars)
    }

    fn add_configuration(&mut self, other: &Arc<Configuration>) -> Result<(), Refusal> {
        // Nearly always both are the one that is built in.
        if Arc::ptr_eq(&self.configuration, other) {
            return Ok(());
        }
        Arc::make_mut(&mut self.configuration).merge(other)
    }
}

/// One render: everything that is the same for all of its layers.
pub(crate) struct Build<'files> {
    pub(crate) loader: Loader<'files>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Of the kustomization that is rendered; it counts for all that it leads to.
    pub(crate) metadata: BuildMetadata,
    pub(crate) schema: Schema,
}

impl<'files> Build<'files> {
    pub(crate) fn new(loader: Loader<'files>) -> Build<'files> {
        Build {
            loader,
            diagnostics: Vec::new(),
            metadata: BuildMetadata::default(),
            schema: Schema::default(),
        }
    }

    /// Reads the kustomization of a folder.
    pub(crate) fn read(&mut self, root: &Root<'_>) -> Result<Kustomization, Located> {
        let (name, file) = self.loader.kustomization(root).map_err(Located::Nowhere)?;
        let (kustomization, diagnostics) = kustomization::read(&file, &name);
        let wrong = diagnostics.iter().any(Diagnostic::is_error);
        self.diagnostics.extend(diagnostics);
        kustomization.filter(|_| !wrong).ok_or(Located::Told)
    }

    /// What a kustomization makes of its resources and of `layer`, which is empty unless this is a component.
    fn accumulate(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        origin: &str,
        mut layer: Layer,
    ) -> Result<Layer, Stopped> {
        for resource in &whole.resources {
            self.resource(root, whole, origin, &mut layer, resource)?;
        }
        self.configure(root, whole, &mut layer)?;
        self.generate(root, whole, origin, &mut layer)?;
        for component in &whole.components {
            layer = self.component(root, whole, origin, layer, component)?;
        }
        self.transform(root, whole, origin, &mut layer)?;
        self.validate(root, whole, origin, &mut layer)?;
        for var in &whole.vars {
            let added = layer.vars.add(var.value.clone(), layer.resources.list_mut());
            self.told(whole, var.span, added)?;
        }
        Ok(layer)
    }

    /// The whole of a kustomization as a layer of its own.
    pub(crate) fn layer(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        origin: &str,
    ) -> Result<Layer, Stopped> {
        self.accumulate(root, whole, origin, Layer::empty())
    }

    fn resource(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        origin: &str,
        layer: &mut Layer,
        path: &Spanned<String>,
    ) -> Result<(), Stopped> {
        let operand = self.loader.operand(root, &path.value);
        match self.told(whole, path.span, operand)? {
            Operand::File(file) => {
                let step = self.metadata.any.then(|| Step::of_file(joined(origin, &path.value)));
                let mut resources = self.manifest(&file)?;
                resources.iter_mut().for_each(|resource| resource.origin.clone_from(&step));
                let appended = layer.resources.append_all(resources);
                self.told(whole, path.span, appended)
            }
            Operand::Folder(folder) => {
                let (child, kustomization) = self.enter(root, whole, path, folder)?;
                if kustomization.kind == Kind::Component {
                    let refusal =
                        Refusal::new("component-as-resource", format!("`{}` is a component", path.value));
                    return self.told(whole, path.span, Err(refusal.with_hint("list it under `components`")));
                }
                let below = self.layer(&child, &kustomization, &joined(origin, &path.value))?;
                let merged = layer.merge(below);
                self.told(whole, path.span, merged)
            }
        }
    }

    fn component(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        origin: &str,
        layer: Layer,
        path: &Spanned<String>,
    ) -> Result<Layer, Stopped> {
        let folder = self.loader.folder(root, &path.value);
        let folder = self.told(whole, path.span, folder)?;
        let (child, component) = self.enter(root, whole, path, folder)?;
        if component.kind != Kind::Component {
            let refusal = Refusal::new("not-a-component", format!("`{}` is no component", path.value));
            return self.told(
                whole,
                path.span,
                Err(refusal.with_hint("list it under `resources`, or say `kind: Component` in it")),
            );
        }
        let made = self.accumulate(&child, &component, &joined(origin, &path.value), layer)?;
        let mut layer = Layer::empty();
        let merged = layer.merge(made);
        self.told(whole, path.span, merged)?;
        Ok(layer)
    }

    /// The kustomization of a folder that this one names.
    fn enter<'root>(
        &mut self,
        root: &'root Root<'_>,
        whole: &Kustomization,
        path: &Spanned<String>,
        folder: crate::FilePath,
    ) -> Result<(Root<'root>, Kustomization), Stopped> {
        let child = self.told(whole, path.span, root.child(folder))?;
        match self.read(&child) {
            Ok(kustomization) => {
                self.open_api(&child, &kustomization)?;
                Ok((child, kustomization))
            }
            Err(Located::Nowhere(refusal)) => self.told(whole, path.span, Err(refusal)),
            Err(Located::Told) => Err(Stopped),
        }
    }

    /// Takes in the schema that a kustomization names; the first one counts.
    pub(crate) fn open_api(&mut self, root: &Root<'_>, whole: &Kustomization) -> Result<(), Stopped> {
        if let Some(path) = &whole.openapi.path {
            let file = self.loader.text(root, &path.value);
            let file = self.told(whole, path.span, file)?;
            if let Some(version) = &whole.openapi.version {
                let refusal =
                    Refusal::new("openapi", "`openapi` has both a version and a path; keep one of them");
                return self.told(whole, version.span, Err(refusal));
            }
            let read = self.schema.read(&file);
            return self.all_told(read);
        }
        if let Some(version) = &whole.openapi.version {
            let chosen = self.schema.choose(&version.value);
            return self.told(whole, version.span, chosen);
        }
        Ok(())
    }

    fn configure(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        layer: &mut Layer,
    ) -> Result<(), Stopped> {
        let readers = [
            (&whole.configurations, configuration::read as fn(&Arc<SourceFile>) -> _),
            (&whole.crds, configuration::from_crds),
        ];
        for (paths, read) in readers {
            for path in paths {
                let file = self.loader.text(root, &path.value);
                let file = self.told(whole, path.span, file)?;
                let (added, diagnostics) = read(&file);
                self.all_told(if diagnostics.iter().any(Diagnostic::is_error) {
                    Err(diagnostics)
                } else {
                    Ok(())
                })?;
                let merged = layer.add_configuration(&Arc::new(added));
                self.told(whole, path.span, merged)?;
            }
        }
        Ok(())
    }

    fn generate(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        origin: &str,
        layer: &mut Layer,
    ) -> Result<(), Stopped> {
        if let Some(span) = whole.helm_charts {
            let refusal = Refusal::new("helm-charts", "`helmCharts` are not rendered yet");
            return self.told(
                whole,
                span,
                Err(refusal.with_hint(
                    "render the chart with `helm template` and list the result under `resources`",
                )),
            );
        }
        for (kind, generators) in [("ConfigMap", &whole.config_maps), ("Secret", &whole.secrets)] {
            for generator in generators {
                let made = generate::make(&mut self.loader, root, kind, &generator.value);
                let mut resource = self.told(whole, generator.span, made)?;
                resource.place =
                    Some(crate::resource::Place { file: Arc::clone(&whole.file), span: generator.span });
                if self.metadata.any {
                    let configured_in = joined(origin, &whole.file_name);
                    resource.origin = Some(Step::of_builtin(configured_in, &format!("{kind}Generator")));
                }
                let absorbed = layer.resources.absorb(resource);
                self.told(whole, generator.span, absorbed)?;
            }
        }
        let plugins = self.plugins(root, whole, origin, &whole.generators, "generators")?;
        for configuration in &plugins {
            let made = plugin::generate(self, root, configuration)?;
            for resource in made {
                let absorbed = layer.resources.absorb(resource);
                self.told(whole, configuration.span, absorbed)?;
            }
        }
        Ok(())
    }

    fn transform(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        origin: &str,
        layer: &mut Layer,
    ) -> Result<(), Stopped> {
        let mut transformers = transform::of(self, root, whole, &layer.configuration)?;
        if self.metadata.any {
            let configured_in = joined(origin, &whole.file_name);
            for transformer in &mut transformers {
                transformer.step = Some(Step::of_builtin(configured_in.clone(), transformer.builtin));
            }
        }
        for configuration in self.plugins(root, whole, origin, &whole.transformers, "transformers")? {
            transformers.extend(plugin::transformer(self, root, &configuration)?);
        }
        self.apply(layer, transformers)
    }

    /// Validators see the resources and must leave them as they are.
    fn validate(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        origin: &str,
        layer: &mut Layer,
    ) -> Result<(), Stopped> {
        for configuration in self.plugins(root, whole, origin, &whole.validators, "validators")? {
            let state =
                |resource: &crate::resource::Resource| (resource.value.clone(), resource.previous.len());
            let before: Vec<_> = layer.resources.as_slice().iter().map(state).collect();
            let mut validators = plugin::transformer(self, root, &configuration)?;
            // What changes nothing is no transformation.
            validators.iter_mut().for_each(|validator| validator.step = None);
            self.apply(layer, validators)?;
            let unchanged = |(before, after): (&(serde_json::Value, usize), &crate::resource::Resource)| {
                before.0 == after.value && before.1 == after.previous.len()
            };
            let after = layer.resources.as_slice();
            if before.len() != after.len() || !before.iter().zip(after).all(unchanged) {
                let refusal =
                    Refusal::new("validator", "a validator must not change resources, and this one does");
                return self.told(
                    whole,
                    configuration.span,
                    Err(refusal.with_hint("list it under `transformers`")),
                );
            }
        }
        Ok(())
    }

    fn apply(&mut self, layer: &mut Layer, transformers: Vec<Transformer>) -> Result<(), Stopped> {
        for transformer in transformers {
            if let Err(refusal) = transformer.operation.apply(&mut layer.resources, &self.schema) {
                self.diagnostics.push(refusal.at(&transformer.file, transformer.span));
                return Err(Stopped);
            }
            if let Some(step) = &transformer.step {
                transform::record(layer.resources.list_mut(), step);
            }
            layer.resources.drop_deleted();
        }
        Ok(())
    }

    /// The configurations that a list of plugins names: inline texts, files, and folders.
    fn plugins(
        &mut self,
        root: &Root<'_>,
        whole: &Kustomization,
        origin: &str,
        listed: &[Spanned<String>],
        field: &'static str,
    ) -> Result<Vec<plugin::Configuration>, Stopped> {
        let mut layer = Layer::empty();
        let mut paths = Vec::new();
        for entry in listed {
            match manifest::read(&manifest::inline(&whole.file, &entry.value)) {
                Ok(mut resources) if !resources.is_empty() => {
                    let step = Step::of_file(joined(origin, &whole.file_name));
                    resources.iter_mut().for_each(|resource| {
                        resource.origin = self.metadata.any.then(|| step.clone());
                        // Places in an inline text are those of the entry.
                        resource.place =
                            Some(crate::resource::Place { file: Arc::clone(&whole.file), span: entry.span });
                    });
                    let appended = layer.resources.append_all(resources);
                    self.told(whole, entry.span, appended)?;
                }
                _ => paths.push(entry),
            }
        }
        for path in paths {
            self.resource(root, whole, origin, &mut layer, path)?;
        }
        let span = listed.first().map_or(Span::at(0), |entry| entry.span);
        let resources = layer.resources.into_list().into_iter();
        Ok(resources.map(|resource| plugin::Configuration::new(resource, &whole.file, span, field)).collect())
    }

    /// The resources of a file.
    pub(crate) fn manifest(
        &mut self,
        file: &Arc<SourceFile>,
    ) -> Result<Vec<crate::resource::Resource>, Stopped> {
        let read = manifest::read(file);
        self.all_told(read)
    }

    /// Puts a refusal at its place in the kustomization.
    pub(crate) fn told<T>(
        &mut self,
        whole: &Kustomization,
        span: Span,
        result: Result<T, Refusal>,
    ) -> Result<T, Stopped> {
        self.told_in(&whole.file, span, result)
    }

    pub(crate) fn told_in<T>(
        &mut self,
        file: &Arc<SourceFile>,
        span: Span,
        result: Result<T, Refusal>,
    ) -> Result<T, Stopped> {
        result.map_err(|refusal| {
            self.diagnostics.push(refusal.at(file, span));
            Stopped
        })
    }

    pub(crate) fn all_told<T>(&mut self, result: Result<T, Vec<Diagnostic>>) -> Result<T, Stopped> {
        result.map_err(|diagnostics| {
            self.diagnostics.extend(diagnostics);
            Stopped
        })
    }
}

/// Why a folder has no kustomization to work with.
#[derive(Debug)]
pub(crate) enum Located {
    /// The diagnostics say it.
    Told,
    /// There is no file whose place could be shown.
    Nowhere(Refusal),
}

/// A path written in a folder, as the `origin` annotation shows it: `..` may be left at its start.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
