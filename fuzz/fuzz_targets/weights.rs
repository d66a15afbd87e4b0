//! Any bytes as weights or manifest.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testkit::fuzz::weights(bytes));
