//! Memory that a process shares with a child. The parent reads and writes it only while the child cannot run, so that no
//! byte changes between a check and a use.
//!
//! All `unsafe` code of the workspace is in this crate, but for two calls in `heap`, and this is all that it does: map a
//! memory file, hand out slices of the mapping, take and give back its pages, close descriptors that a parent left open,
//! say what signals do, ask for a child's processor time.
//! Linux only; elsewhere the crate is empty.

#![cfg(target_os = "linux")]

mod clock;
mod mapping;
mod peer;
mod signals;

pub use mapping::{Mapping, close_inherited, populate};
pub use peer::{Frozen, Peer};
pub use signals::ignore_requests_to_end;
