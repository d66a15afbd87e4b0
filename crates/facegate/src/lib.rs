//! The program around the analysis: configuration, commands and the HTTP service.

pub mod annotate;
pub mod commands;
pub mod config;
pub mod models;
pub mod server;
