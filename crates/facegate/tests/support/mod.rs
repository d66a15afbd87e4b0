//! The program as a user starts it.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::process::{Command, Output, Stdio};

/// A command line, free of settings from the tester's environment.
pub fn facegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facegate"));
    for (name, _) in std::env::vars() {
        if name.starts_with("FACEGATE_") && name != "FACEGATE_MODELS_DIR" {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// What the program says and how it ends, with the networks in place.
pub fn output(arguments: &[&str]) -> Output {
    testkit::models();
    facegate(arguments).output().expect("runs")
}

/// The same when whoever would read what it prints has gone.
pub fn output_unread(arguments: &[&str]) -> Output {
    testkit::models();
    let mut child = facegate(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    child.wait_with_output().expect("ends")
}
