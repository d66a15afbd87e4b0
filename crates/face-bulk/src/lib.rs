//! Millions of pictures in shards: where they come from, where the answers go, and what a restart need not do again.
//!
//! A shard's answers are written as part files, each of them whole or not there. A restart reads the names in the parts
//! of its shard and skips them. So every picture is answered at least once; one that two processes work on at the same
//! time is answered twice. What analyses the pictures, and how an answer is worded, is the caller's.

#[cfg(feature = "cloud")]
mod cloud;
pub mod error;
pub mod names;
pub mod parts;
pub mod pictures;
pub mod results;
pub mod row;
pub mod shard;
pub mod source;
pub mod store;
pub mod table;
