//! COPY and ADD.
//!
//! `--link` changes nothing: a COPY's layer is found again by its content, whatever became of the layers below, which
//! is what the flag is for; and docker 26.1.5 makes the same files with it and without it.

use minato_dockerfile::{Heredoc, Transfer, Word, expand_text};

use super::{Copy, CopyFrom, Operation, StageLowering};
use crate::error::StepError;

impl StageLowering<'_> {
    pub(super) fn copy(
        &mut self,
        copy: &minato_dockerfile::Copy,
        from: CopyFrom,
    ) -> Result<Operation, StepError> {
        if copy.parents {
            return Err(StepError::unsupported("COPY --parents", "name the folders in the destination"));
        }
        self.transfer("COPY", &copy.transfer, from, false)
    }

    pub(super) fn add(&mut self, add: &minato_dockerfile::Add) -> Result<Operation, StepError> {
        if add.checksum.is_some() || add.keep_git_dir.is_some() {
            return Err(StepError::unsupported("ADD of a remote source", "download it in a RUN step"));
        }
        if add.unpack.is_some() {
            return Err(StepError::unsupported(
                "ADD --unpack",
                "leave the flag out: local archives are unpacked",
            ));
        }
        self.transfer("ADD", &add.transfer, CopyFrom::Context, true)
    }

    fn transfer(
        &mut self,
        keyword: &str,
        transfer: &Transfer,
        from: CopyFrom,
        unpack: bool,
    ) -> Result<Operation, StepError> {
        let options = &transfer.options;
        if !options.exclude.is_empty() {
            let feature = format!("{keyword} --exclude");
            return Err(StepError::unsupported(feature, "name it in .dockerignore, or copy less"));
        }
        let sources = self.expand_sources(&transfer.sources)?;
        if let Some(remote) = sources.iter().find(|source| unpack && is_remote(source)) {
            return Err(StepError::unsupported(format!("ADD of {remote}"), "download it in a RUN step"));
        }
        let texts = transfer.heredocs.iter().map(|heredoc| self.text(heredoc));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let written = self.expand(&transfer.destination)?;
        let owner =
            options.chown.as_ref().map(|word| self.expand(word)).transpose()?.filter(|it| !it.is_empty());
        let chmod =
            options.chmod.as_ref().map(|word| self.expand(word)).transpose()?.filter(|it| !it.is_empty());
        let destination = self.destination(&written, sources.len() + texts.len())?;
        let mode = chmod.as_deref().map(str::parse).transpose();
        let mode = mode.map_err(|error| StepError::Copy(crate::copy::CopyError::Mode(error)))?;
        self.note_transfer(
            keyword,
            [("chown", owner.as_deref()), ("chmod", chmod.as_deref())],
            &sources,
            &texts,
            &written,
        );
        Ok(Operation::Copy(Copy { from, sources, texts, destination, owner, mode, unpack }))
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
    fn destination(&self, written: &str, sources: usize) -> Result<String, StepError> {
        let is_folder =
            written.is_empty() || written.ends_with('/') || written == "." || written.ends_with("/.");
        if sources > 1 && !is_folder {
            let message = format!("several sources need a folder as their destination: write {written}/");
            return Err(StepError::Invalid(message));
        }
        let mut path = self.absolute(written);
        if is_folder && !path.ends_with('/') {
            path.push('/');
        }
        Ok(path)
    }

    fn note_transfer(
        &mut self,
        keyword: &str,
        flags: [(&str, Option<&str>); 2],
        sources: &[String],
        texts: &[(String, String)],
        destination: &str,
    ) {
        let mut line = keyword.to_owned();
        for (flag, value) in flags {
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

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|scheme| source.starts_with(scheme))
}
