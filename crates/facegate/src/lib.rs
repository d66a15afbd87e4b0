//! The program around the analysis: configuration, commands and drawing.

pub mod annotate;
pub mod answer;
pub mod commands;
pub mod config;
pub mod drawings;
pub mod models;
pub mod parallel;
pub mod record;
pub mod sources;
pub mod trust;
