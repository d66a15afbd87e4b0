//! Why there is no picture, and how cells ended.

use crate::picture::PictureError;

/// No cell could decode: ours to mend, not the sender's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CellError {
    /// A process could not be started or confined.
    #[error("the process that decodes pictures cannot be started: {0}")]
    Start(String),
    /// All of them are at work.
    #[error("no process that decodes pictures became free")]
    Busy,
}

/// How many cells had to be ended, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Endings {
    /// Decoding took too long.
    pub time: u64,
    /// Decoding took too much memory.
    pub memory: u64,
    /// The process did what it may not, or failed in a way that nothing catches.
    pub crash: u64,
    /// The decoder panicked.
    pub panic: u64,
    /// The answer was none that our program gives.
    pub nonsense: u64,
}

impl Endings {
    /// Each reason as a label of a metric, with its number.
    pub fn by_reason(&self) -> [(&'static str, u64); 5] {
        let Self { time, memory, crash, panic, nonsense } = *self;
        [("time", time), ("memory", memory), ("crash", crash), ("panic", panic), ("nonsense", nonsense)]
    }
}

/// There is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// For a reason that lies in its bytes.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// For one that lies with us.
    #[error(transparent)]
    Cell(#[from] CellError),
}
