//! facegate: a self-hosted face check service.
fn main() {}
