//! The program around the analysis: configuration, commands and the HTTP service.

pub mod annotate;
pub mod bulk;
pub mod commands;
pub mod config;
pub mod models;
pub mod parallel;
pub mod pictures;
pub mod results;
pub mod row;
pub mod server;
