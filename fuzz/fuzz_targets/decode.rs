//! Any bytes as a picture.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testkit::fuzz::pixels(bytes));
