//! YAML text to trees: libyaml's events, composed with a place for everything and a limit for everything.

mod anchors;
mod complaint;
mod entries;
mod keys;
mod quiet;
pub(crate) mod scalar;
pub(crate) mod time_stamp;

use std::io::BufReader;
use std::sync::Arc;

use libyaml_safer::{Encoding, Event, EventData, MappingStyle, Parser, ScalarStyle, SequenceStyle};

use self::anchors::{AnchorError, Anchors};
use self::complaint::{control_character, reader_lost, syntax_error};
use self::entries::Entries;
use self::keys::Key;
use self::scalar::Tag;
use super::{Data, Entry, MAX_DEPTH, Node};
use crate::{Diagnostic, SourceFile, Span};

/// Whose reading of YAML counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `kubectl apply`, and Kustomize for `kustomization.yaml` itself: sigs.k8s.io/yaml, which is go-yaml v2.
    Kubectl,
    /// Kustomize for resources and patches: go-yaml v3. `yes` is text, a date is written out in full, a key that is not
    /// text is refused, a value that is not written within `{…}` is the empty text, `\/` is no escape, and keys of the
    /// mapping itself win over those that `<<` brings in.
    Kustomize,
}

/// Reads every document of a YAML stream as `kubectl apply` does; see [`read_yaml_as`].
pub fn read_yaml(file: &Arc<SourceFile>) -> (Vec<Node>, Vec<Diagnostic>) {
    read_yaml_as(file, Dialect::Kubectl)
}

/// Reads every document of a YAML stream. What is wrong is told, and what could be read is returned: documents
/// before a syntax error, and documents with `null` where a value was refused.
pub fn read_yaml_as(file: &Arc<SourceFile>, dialect: Dialect) -> (Vec<Node>, Vec<Diagnostic>) {
    if let Some(diagnostic) = control_character(file) {
        return (Vec::new(), vec![diagnostic]);
    }
    let mut composer = Composer::new(file, dialect);
    let mut documents = Vec::new();
    loop {
        match composer.document() {
            Ok(Some(document)) => documents.push(document),
            Ok(None) | Err(Stop::Told) => break,
            Err(Stop::Syntax(error)) => {
                composer.diagnostics.push(syntax_error(file, &error));
                break;
            }
            Err(Stop::Lost) => {
                composer.diagnostics.push(reader_lost(file, composer.reached));
                break;
            }
        }
    }
    (documents, composer.diagnostics)
}

/// The stream cannot be read further.
enum Stop {
    /// The reason is among the diagnostics.
    Told,
    Syntax(libyaml_safer::Error),
    /// The parser itself failed.
    Lost,
}

/// A value that was read here.
struct Composed {
    node: Node,
    /// Levels below it.
    height: usize,
    /// Where its text ends; an alias's node lies elsewhere.
    end: usize,
}

struct Composer<'run> {
    file: &'run Arc<SourceFile>,
    parser: Parser<BufReader<&'run [u8]>>,
    diagnostics: Vec<Diagnostic>,
    anchors: Anchors,
    /// Where the last event ended.
    reached: usize,
    dialect: Dialect,
    /// How many `{` and `[` are open here.
    flow: usize,
}

impl<'run> Composer<'run> {
    fn new(file: &'run Arc<SourceFile>, dialect: Dialect) -> Composer<'run> {
        let mut parser = Parser::new();
        // Told, because a guess takes private characters for a byte order mark.
        parser.set_encoding(Encoding::Utf8);
        // A small buffer: the parser decodes what is buffered at once, into four bytes for each character.
        parser.set_input(BufReader::with_capacity(8 * 1024, file.text().as_bytes()));
        Composer {
            file,
            parser,
            diagnostics: Vec::new(),
            anchors: Anchors::default(),
            reached: 0,
            dialect,
            flow: 0,
        }
    }

    /// The next document, `None` at the end of the stream.
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        loop {
            match self.event()?.data {
                EventData::StreamEnd => return Ok(None),
                EventData::DocumentStart { .. } => break,
                _ => {}
            }
        }
        self.anchors.start_document();
        let event = self.event()?;
        self.value(event, 0).map(|composed| Some(composed.node))
    }

    fn event(&mut self) -> Result<Event, Stop> {
        // The parser panics on two texts that are known (a backslash that ends the file within double quotes, a
        // tag with a comma right behind it) and is not used any more after that.
        match quiet::caught(|| self.parser.parse()) {
            Some(Ok(event)) => {
                self.reached = self.span(&event).end;
                Ok(event)
            }
            Some(Err(error)) => Err(Stop::Syntax(error)),
            None => Err(Stop::Lost),
        }
    }

    fn value(&mut self, event: Event, depth: usize) -> Result<Composed, Stop> {
        let span = self.span(&event);
        if depth > MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        match event.data {
            EventData::Alias { anchor } => self.alias(&anchor, span, depth),
            EventData::Scalar { anchor, tag, value, style, .. } => {
                let span = self.text_of(span, style);
                let data = self.scalar(&value, style, tag.as_deref(), span);
                self.anchored(anchor, Composed { node: Node::new(data, span), height: 0, end: span.end })
            }
            EventData::SequenceStart { anchor, tag, style, .. } => {
                self.open(anchor.as_ref(), tag.as_deref(), span);
                let flow = style == SequenceStyle::Flow;
                self.flow += usize::from(flow);
                let composed = self.sequence(span, flow, depth)?;
                self.flow -= usize::from(flow);
                self.anchored(anchor, composed)
            }
            EventData::MappingStart { anchor, tag, style, .. } => {
                self.open(anchor.as_ref(), tag.as_deref(), span);
                let flow = style == MappingStyle::Flow;
                self.flow += usize::from(flow);
                let composed = self.mapping(span, flow, depth)?;
                self.flow -= usize::from(flow);
                self.anchored(anchor, composed)
            }
            _ => Err(self.stop("yaml-syntax", "expected a value".to_owned(), span)),
        }
    }

    fn sequence(&mut self, start: Span, flow: bool, depth: usize) -> Result<Composed, Stop> {
        let (mut items, mut height, mut end) = (Vec::new(), 0, start.end);
        loop {
            let event = self.event()?;
            if event.data == EventData::SequenceEnd {
                let end = if flow { self.span(&event).end } else { end };
                let node = Node::new(Data::Sequence(items), Span::new(start.start, end));
                return Ok(Composed { node, height: height + 1, end });
            }
            let item = self.value(event, depth + 1)?;
            end = end.max(item.end);
            height = height.max(item.height);
            items.push(item.node);
        }
    }

    fn mapping(&mut self, start: Span, flow: bool, depth: usize) -> Result<Composed, Stop> {
        let (mut entries, mut height, mut end) = (Entries::default(), 0, start.end);
        loop {
            let event = self.event()?;
            if event.data == EventData::MappingEnd {
                let end = if flow { self.span(&event).end } else { end };
                let node = Node::new(Data::Mapping(entries.into_vec()), Span::new(start.start, end));
                return Ok(Composed { node, height: height + 1, end });
            }
            let key_span = self.span(&event);
            let key = self.key(event, depth)?;
            let event = self.event()?;
            let value = self.value(event, depth + 1)?;
            end = end.max(key_span.end).max(value.end);
            // A merged mapping's entries come one level up.
            height = height.max(value.height.saturating_sub(usize::from(matches!(key, Key::Merge))));
            self.insert(&mut entries, key, key_span, value.node);
        }
    }

    /// Puts an entry where it belongs: a repeated key is refused, `<<` brings in the keys of its value.
    fn insert(&mut self, entries: &mut Entries, key: Key, key_span: Span, value: Node) {
        match key {
            Key::Refused => {}
            Key::Merge => self.merge(entries, &value, key_span),
            Key::Text(key) if entries.is_written(&key) => {
                let message = format!("the key `{key}` appears twice in this mapping");
                let hint = "remove one of the two; which of them is taken differs between tools";
                self.error("duplicate-key", message, key_span, Some(hint));
            }
            Key::Text(key) => entries.write(Entry { key, key_span, value }),
        }
    }

    /// `<<: *a` and `<<: [*a, *b]`; among several the first wins, as the YAML merge type says.
    fn merge(&mut self, entries: &mut Entries, value: &Node, span: Span) {
        let sources: Vec<&Node> = match &value.data {
            Data::Mapping(_) => vec![value],
            Data::Sequence(items) if items.iter().all(|item| matches!(item.data, Data::Mapping(_))) => {
                items.iter().rev().collect()
            }
            _ => {
                let message =
                    format!("`<<` takes a mapping or a list of mappings, not {}", value.kind_name());
                return self.error("yaml-merge", message, value.span, None);
            }
        };
        if self.dialect == Dialect::Kustomize {
            return sources
                .into_iter()
                .rev()
                .flat_map(Node::entries)
                .for_each(|entry| entries.complete(entry));
        }
        for entry in sources.into_iter().flat_map(Node::entries) {
            if entries.merge(entry) {
                let message = format!("`<<` replaces `{}`, which is written above it", entry.key);
                let diagnostic = Diagnostic::warning("yaml-merge", message, self.file, span).with_hint(
                    "put `<<` first: kubectl takes the later of the two, other tools the written one",
                );
                self.diagnostics.push(diagnostic);
            }
        }
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, tag: Option<&str>, span: Span) -> Data {
        let tag = tag.map(scalar::short_tag);
        if let Some(tag) = tag.as_deref().filter(|tag| !scalar::is_type_tag(tag)) {
            self.warn_of_tag(tag, span);
        }
        let tag = tag.as_deref().map_or(Tag::None, Tag::Named);
        if self.dialect == Dialect::Kustomize {
            if self.flow > 0 && value.is_empty() && style == ScalarStyle::Plain && matches!(tag, Tag::None) {
                return Data::String(String::new());
            }
            self.refuse_slash(style, span);
        }
        scalar::typed(value, style == ScalarStyle::Plain, &tag, self.dialect).unwrap_or_else(|error| {
            self.error("yaml-value", error.to_string(), span, None);
            Data::Null
        })
    }

    fn alias(&mut self, name: &str, span: Span, depth: usize) -> Result<Composed, Stop> {
        let (node, height) = self.anchors.copy(name, depth).map_err(|error| self.refuse(error, span))?;
        Ok(Composed { node, height, end: span.end })
    }

    /// Remembers a value under its anchor.
    fn anchored(&mut self, anchor: Option<String>, composed: Composed) -> Result<Composed, Stop> {
        if let Some(name) = anchor {
            let kept = self.anchors.keep(name, &composed.node, composed.height);
            kept.map_err(|error| self.refuse(error, composed.node.span))?;
        }
        Ok(composed)
    }

    fn open(&mut self, anchor: Option<&String>, tag: Option<&str>, span: Span) {
        if let Some(name) = anchor {
            self.anchors.open(name.clone());
        }
        if let Some(tag) = tag.map(scalar::short_tag) {
            self.warn_of_tag(&tag, span);
        }
    }

    fn warn_of_tag(&mut self, tag: &str, span: Span) {
        if !matches!(tag, "!" | "!!map" | "!!seq" | "!!set" | "!!omap" | "!!pairs" | "!!merge") {
            let message = format!("the tag {tag} means nothing here and is left out");
            self.diagnostics.push(Diagnostic::warning("yaml-tag", message, self.file, span));
        }
    }

    fn span(&self, event: &Event) -> Span {
        let offset = |index: u64| (index as usize).min(self.file.text().len());
        let start = offset(event.start_mark.index);
        Span::new(start, offset(event.end_mark.index).max(start))
    }

    /// A block scalar's event reaches to the next token; its text does not.
    fn text_of(&self, span: Span, style: ScalarStyle) -> Span {
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                Span::new(span.start, span.start + self.file.slice(span).trim_end().len())
            }
            _ => span,
        }
    }

    fn refuse(&mut self, error: AnchorError, span: Span) -> Stop {
        match error {
            AnchorError::TooDeep => self.too_deep(span),
            error => self.stop("yaml-alias", error.to_string(), span),
        }
    }

    fn too_deep(&mut self, span: Span) -> Stop {
        self.stop("document-depth", format!("values are nested more than {MAX_DEPTH} deep"), span)
    }

    fn stop(&mut self, code: &str, message: String, span: Span) -> Stop {
        self.error(code, message, span, None);
        Stop::Told
    }

    fn error(&mut self, code: &str, message: String, span: Span, hint: Option<&str>) {
        let diagnostic = Diagnostic::error(code, message, self.file, span);
        self.diagnostics.push(match hint {
            Some(hint) => diagnostic.with_hint(hint),
            None => diagnostic,
        });
    }
}
