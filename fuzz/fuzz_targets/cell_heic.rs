//! Structured files of one format, from any bytes, through a cell with low limits.
#![no_main]

#[path = "../cells.rs"]
mod cells;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cells::run("heic", bytes));
