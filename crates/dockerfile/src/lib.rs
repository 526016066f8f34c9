//! Dockerfile and `.dockerignore`: text in, instructions with spans out.
//!
//! ```text
//! text ─ directive ─► escape character
//!      ─ line ──────► logical lines (continuations joined, comments dropped, every byte still knows its place)
//!      ─ parse ─────► statements ─ instruction ─► Dockerfile { directives, global_args, stages }
//!                                                     │ words, still raw
//!      build: expand / expand_words / expand_text ◄───┘ when the values of ARG and ENV are known
//! ```
//!
//! The rules are those of `BuildKit`'s Dockerfile frontend: what it takes is taken and means the same, what it
//! refuses is an error here. [`parse`] reports every mistake of a file at once and never panics.
//!
//! What this crate does not do: it evaluates no stage, looks up no image and reads no file. Whether a Dockerfile
//! is *good* is for the crate `lint`.

mod csv;
mod directive;
mod duration;
mod expand;
mod flag;
mod grammar;
mod heredoc;
pub mod ignore;
mod instruction;
mod keyword;
mod line;
mod mount;
mod operand;
mod parse;
mod report;
mod syntax;

pub use expand::{ExpandError, expand, expand_text, expand_words};
pub use instruction::{
    Add, Arg, ArgDefinition, Command, Copy, CopyOptions, Device, Env, Expose, From, Healthcheck,
    HealthcheckCommand, HealthcheckOptions, Heredoc, Instruction, Label, Mount, MountField, MountKind,
    MountSharing, Network, Onbuild, Pair, PairForm, Run, Script, Security, SingleWord, Transfer, Volume,
};
pub use mount::{MountError, MountOptions};
pub use parse::{MAX_FILE_BYTES, parse};
pub use syntax::{Directive, Directives, Dockerfile, Stage, Statement, Word};
