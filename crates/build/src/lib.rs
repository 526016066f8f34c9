//! (header to be written by the crate's first commit)
