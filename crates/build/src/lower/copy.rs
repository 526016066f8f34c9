//! COPY and ADD.
//!
//! `--link` changes nothing: a COPY's layer is found again by its content, whatever became of the layers below, which
//! is what the flag is for; and `BuildKit` makes the same files with it and without it, but for links and
//! folders of the image in the destination.

use minato_dockerfile::{Heredoc, Transfer, Word, expand_text};

use super::{Copy, CopyFrom, Operation, StageLowering, TransferSource};
use crate::copy::Selection;
use crate::error::StepError;
use crate::remote::{Remote, RemoteError};

/// What only one of the two instructions knows, or what each has another default for.
struct Flags {
    keyword: &'static str,
    parents: bool,
    unpack: Option<bool>,
    checksum: Option<String>,
    keep_git: Option<bool>,
}

impl StageLowering<'_> {
    pub(super) fn copy(
        &mut self,
        copy: &minato_dockerfile::Copy,
        from: CopyFrom,
    ) -> Result<Operation, StepError> {
        let flags =
            Flags { keyword: "COPY", parents: copy.parents, unpack: None, checksum: None, keep_git: None };
        self.transfer(&flags, &copy.transfer, from)
    }

    pub(super) fn add(&mut self, add: &minato_dockerfile::Add) -> Result<Operation, StepError> {
        let checksum = add.checksum.as_ref().map(|word| self.expand(word)).transpose()?;
        let checksum = checksum.filter(|checksum| !checksum.is_empty());
        let flags = Flags {
            keyword: "ADD",
            parents: false,
            unpack: add.unpack,
            checksum,
            keep_git: add.keep_git_dir,
        };
        self.transfer(&flags, &add.transfer, CopyFrom::Context)
    }

    fn transfer(
        &mut self,
        flags: &Flags,
        transfer: &Transfer,
        from: CopyFrom,
    ) -> Result<Operation, StepError> {
        let options = &transfer.options;
        let written_sources = self.expand_sources(&transfer.sources)?;
        if flags.checksum.is_some() && written_sources.len() != 1 {
            return Err(StepError::Invalid("--checksum is for one source".to_owned()));
        }
        let sources = written_sources.iter().map(|text| source_of(text, flags)).collect::<Result<_, _>>()?;
        let texts = transfer.heredocs.iter().map(|heredoc| self.text(heredoc));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let written = self.expand(&transfer.destination)?;
        let owner =
            options.chown.as_ref().map(|word| self.expand(word)).transpose()?.filter(|it| !it.is_empty());
        let chmod =
            options.chmod.as_ref().map(|word| self.expand(word)).transpose()?.filter(|it| !it.is_empty());
        let destination = self.destination(&written);
        let mode = chmod.as_deref().map(str::parse).transpose();
        let mode = mode.map_err(|error| StepError::Copy(crate::copy::CopyError::Mode(error)))?;
        let shown = [("chown", owner.as_deref()), ("chmod", chmod.as_deref())];
        self.note_transfer(flags, shown, &written_sources, &texts, &written);
        let exclude: Vec<String> = options.exclude.iter().map(|word| word.raw.clone()).collect();
        // A pattern that is none shows before the first step runs.
        Selection::all_but(&exclude)?;
        let (unpack, parents) = (flags.unpack.unwrap_or(flags.keyword == "ADD"), flags.parents);
        Ok(Operation::Copy(Copy { from, sources, texts, destination, owner, mode, unpack, exclude, parents }))
    }

    fn expand_sources(&self, words: &[Word]) -> Result<Vec<String>, StepError> {
        words.iter().map(|word| self.expand(word)).collect()
    }

    /// A heredoc as the file it becomes.
    fn text(&self, heredoc: &Heredoc) -> Result<(String, String), StepError> {
        let content = heredoc.content();
        let content = match heredoc.expand {
            true => expand_text(&content, &|name| self.state.scope.get(name)).map_err(StepError::invalid)?,
            false => content,
        };
        Ok((heredoc.name.clone(), content))
    }

    /// Against the working directory; a closing slash says that a folder is meant.
    fn destination(&self, written: &str) -> String {
        let is_folder =
            written.is_empty() || written.ends_with('/') || written == "." || written.ends_with("/.");
        let mut path = self.absolute(written);
        if is_folder && !path.ends_with('/') {
            path.push('/');
        }
        path
    }

    fn note_transfer(
        &mut self,
        flags: &Flags,
        values: [(&str, Option<&str>); 2],
        sources: &[String],
        texts: &[(String, String)],
        destination: &str,
    ) {
        let mut line = flags.keyword.to_owned();
        if flags.parents {
            line.push_str(" --parents");
        }
        for (flag, value) in values {
            line.extend(value.map(|value| format!(" --{flag}={value}")));
        }
        for source in sources {
            line.push_str(&format!(" {source}"));
        }
        for (name, _) in texts {
            line.push_str(&format!(" <<{name}"));
        }
        self.note(format!("{line} {destination} # buildkit"), true);
    }
}

/// What a source means: a path, or something that is fetched.
fn source_of(text: &str, flags: &Flags) -> Result<TransferSource, StepError> {
    let Some(remote) = Remote::parse(text) else {
        return match flags.checksum {
            Some(_) => {
                Err(StepError::Invalid(format!("--checksum is for what is fetched, and {text} is a path")))
            }
            None => Ok(TransferSource::Path(text.to_owned())),
        };
    };
    if flags.keyword == "COPY" {
        return Err(StepError::Invalid(format!("COPY does not fetch {text}; ADD does")));
    }
    match remote.map_err(RemoteError::from)? {
        Remote::Http(address) => {
            let checksum =
                flags.checksum.as_deref().map(str::parse).transpose().map_err(StepError::invalid)?;
            Ok(TransferSource::Http { address, checksum, unpack: flags.unpack == Some(true) })
        }
        Remote::Git(address) => {
            let address = address.with_flags(flags.checksum.as_deref(), flags.keep_git);
            Ok(TransferSource::Git(address.map_err(RemoteError::from)?))
        }
    }
}
