//! COPY and ADD, and the heredocs that are their sources.

use minato_resource::Span;

use crate::syntax::Word;

/// What COPY and ADD have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Paths and patterns (ADD: addresses too), to be expanded.
    pub sources: Vec<Word>,
    /// Sources written in the file itself; each becomes a file of its name.
    pub heredocs: Vec<Heredoc>,
    /// To be expanded.
    pub destination: Word,
    /// The flags that both know.
    pub options: CopyOptions,
}

/// The flags that COPY and ADD share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// `--chown=user[:group]`, to be expanded.
    pub chown: Option<Word>,
    /// `--chmod=mode`, octal or symbolic, to be expanded.
    pub chmod: Option<Word>,
    /// `--link`: the files make a layer of their own, apart from those below.
    pub link: bool,
    /// `--exclude=pattern`, in order; not expanded.
    pub exclude: Vec<Word>,
}

/// `COPY`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Sources, destination and common flags.
    pub transfer: Transfer,
    /// `--from=stage`, image or number of a stage; variables are not allowed in it.
    pub from: Option<Word>,
    /// `--parents`: keep the sources' folders.
    pub parents: bool,
}

/// `ADD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// Sources, destination and common flags.
    pub transfer: Transfer,
    /// `--checksum=sha256:…` of a remote source, to be expanded.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`, where it was written.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, where it was written; otherwise local archives are unpacked and remote ones are not.
    pub unpack: Option<bool>,
}

/// A heredoc: `<<EOF` on the line, the body under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The terminator, which is also the file's name where a COPY makes a file of it.
    pub name: String,
    /// The body as it stands in the file, line ends included. See [`Heredoc::content`].
    pub body: String,
    /// Whether variables in the body are expanded: the terminator was not quoted.
    pub expand: bool,
    /// `<<-`: leading tabs of each line go.
    pub strip_tabs: bool,
    /// The number before `<<`; 0 when there is none.
    pub file_descriptor: u32,
    /// The body in the file.
    pub span: Span,
}

impl Heredoc {
    /// The body as a file's content: without leading tabs where `<<-` says so, variables not yet expanded.
    #[must_use]
    pub fn content(&self) -> String {
        if !self.strip_tabs {
            return self.body.clone();
        }
        self.body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}
