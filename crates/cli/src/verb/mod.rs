//! One file per verb; what two verbs share of their words is in `outcome`.

pub mod build;
pub mod check;
pub mod copy;
pub mod delete;
pub mod diff;
pub mod exec;
mod follow;
pub mod history;
pub mod images;
pub mod live;
pub mod login;
pub mod logs;
mod outcome;
pub mod push;
pub mod registry;
pub mod render;
pub mod rollback;
pub mod status;
pub mod sync;
pub mod tags;
pub mod up;
