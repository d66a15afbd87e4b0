//! The program as a user starts it.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStderr, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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

/// What a program that runs says on standard error, read as it comes, so that it never waits for a reader.
pub struct Log {
    text: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Log {
    /// Begins to read.
    pub fn of(stderr: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&text);
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let mut said = said.lock().expect("not poisoned");
                said.push_str(&line.expect("text"));
                said.push('\n');
            }
        });
        Self { text, reading }
    }

    /// Waits for a line with these words that is the first, the second and so on, and gives it.
    pub fn line(&self, words: &str, number: usize) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = self.text.lock().expect("not poisoned").clone();
            if let Some(line) = text.lines().filter(|line| line.contains(words)).nth(number - 1) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "{words} is not said {number} times: {text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where the program says that its metrics are, which were to have any free port of 127.0.0.1.
    pub fn metrics(&self) -> String {
        metrics_in(&self.line(METRICS, 1))
    }

    /// All of it, when the program has ended.
    pub fn end(self) -> String {
        self.reading.join().expect("read to its end");
        self.text.lock().expect("not poisoned").clone()
    }
}

/// In the line of the log that names the listener for Prometheus.
pub const METRICS: &str = "metrics are at";

/// The address in that line.
pub fn metrics_in(line: &str) -> String {
    let port = line.split("127.0.0.1:").nth(1).expect("an address");
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    format!("127.0.0.1:{port}")
}
