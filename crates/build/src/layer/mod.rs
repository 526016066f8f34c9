//! Layers that Minato makes: planned first, then written and hashed in one pass.

mod key;
mod plan;
mod times;
mod window;
mod write;

pub(crate) use key::{is_copied_at_once, key_of};
pub(crate) use plan::{Content, Entry, LayerPlan, Target};
pub use times::LayerTimes;
pub use write::LayerError;
pub(crate) use write::{Written, write};
