//! Any bytes through the whole pipeline with the real networks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testkit::fuzz::analysis(bytes));
