//! What Minato remembers, in one SQLite file: Applications, their operations, their history, and who works on them.
//!
//! ```text
//! open ─► schema (versioned, migrated) ─► StateStore: one transaction per call, on disk before it returns
//! ```
//!
//! Several processes use the file at once. A lock belongs to a process (pid, start time, boot), so that a dead
//! holder's lock is free. The crate keeps what [`minato_sync`] gives it and decides nothing; it holds no secret values.

mod history;
mod holder;
mod schema;
mod state;

pub use state::State;
