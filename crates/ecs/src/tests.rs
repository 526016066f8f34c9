//! The target against an API that a script plays: what is called, what is sent, and what comes of it.

mod faults;
mod hostile;
mod moto;
mod operations;
mod ownership;
mod progress;
mod script;
mod services;
mod stage;
mod task_definitions;
