//! The service's log: lines on standard error, written by a thread of its own.

use std::io::{self, IsTerminal as _, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::commands::CommandError;
use crate::config::{LogConfig, LogFormat};

/// Lines that wait for a slow reader. Further ones are dropped: strangers cause lines too, and no request waits for the log.
const MOST_WAITING: usize = 4_096;

/// How long the end of the program waits for the last lines to find room, and then to be written.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The log; dropping it writes what still waits, for a second at most.
pub(super) struct Log(Lines);

/// Where lines go, whole.
#[derive(Clone)]
struct Lines {
    waiting: Sender<Message>,
    dropped: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    /// All before it is written when this is dropped.
    End(#[expect(dead_code, reason = "its end is the message")] Sender<()>),
}

impl Log {
    /// Begins to log. A panic is logged with its place and without its message, which may quote input.
    pub(super) fn start(config: &LogConfig) -> Result<Self, CommandError> {
        let level = level(config)?;
        let lines = Lines::start()?;
        let writer = lines.clone();
        // Telling on standard error that a line could not be written would panic there.
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).log_internal_errors(false);
        let log = log.with_max_level(level).with_target(false);
        let started = match config.format {
            LogFormat::Text => log.with_ansi(stderr().is_terminal()).try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        };
        started.map_err(|error| CommandError::new(error.to_string()))?;
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "a bug: something panicked");
        }));
        Ok(Self(lines))
    }

    /// Says how many lines are lost by now.
    pub(super) fn dropped(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let dropped = Arc::clone(&self.0.dropped);
        move || dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (end, written) = bounded(0);
        if self.0.waiting.send_timeout(Message::End(end), LAST_LINES).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

impl Lines {
    fn start() -> io::Result<Self> {
        let (waiting, lines) = bounded(MOST_WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        thread::Builder::new().name("log".into()).spawn(move || write_all(&lines, &lost))?;
        Ok(Self { waiting, dropped })
    }
}

/// The level from which on there are lines.
pub(in crate::commands) fn level(config: &LogConfig) -> Result<tracing::Level, CommandError> {
    config.level.parse().map_err(|_| CommandError::new("log.level is none of error, warn, info, debug and trace"))
}

/// A line that cannot be written is lost, and the next is tried.
fn write_all(lines: &Receiver<Message>, lost: &AtomicU64) {
    for message in lines {
        if let Message::Line(line) = message
            && stderr().write_all(&line).is_err()
        {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Never waits, never fails.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waiting.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
