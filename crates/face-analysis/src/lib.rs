//! Bytes of a picture in, one analysis out.

pub mod report;
pub mod rules;
