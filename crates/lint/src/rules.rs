//! One file per rule; each has a function per kind of subject.

pub(crate) mod health;
pub(crate) mod image;
pub(crate) mod resources;
pub(crate) mod root_user;
pub(crate) mod secret;
pub(crate) mod stage;
