//! What the six `cell_*` targets share: a cell of the program that `FACEGATE_CELL` names, and what must hold of it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use picture_cell::cell::{Cells, Program};
use picture_cell::{DecodeError, DecodeLimits};

#[path = "../crates/picture-cell/tests/support/structured.rs"]
mod structured;

const LIMITS: DecodeLimits =
    DecodeLimits { max_pixels: 1 << 18, max_side: 4_000, max_decode_ms: 1_000, max_decode_bytes: 24 << 20 };

fn cells() -> &'static Cells {
    static CELLS: OnceLock<Cells> = OnceLock::new();
    CELLS.get_or_init(|| {
        let path = std::env::var_os("FACEGATE_CELL").expect("FACEGATE_CELL names target/release/picture-cell");
        Cells::start(Program { path: path.into(), words: Vec::new() }, LIMITS, 1, 16 << 20).expect("a thread")
    })
}

/// One execution: pixels within the limits or an error, in time, from a cell that lives or was ended by a limit.
pub fn run(name: &str, bytes: &[u8]) {
    let kind = structured::KINDS.into_iter().find(|kind| kind.name == name).expect("a format");
    let file = kind.file(bytes);
    let begin = Instant::now();
    match cells().decode(&file) {
        Ok(picture) => assert!((picture.pixels.width() * picture.pixels.height()) as u64 <= LIMITS.max_pixels),
        Err(DecodeError::Picture(_)) => {}
        Err(error) => panic!("{error}"),
    }
    assert!(begin.elapsed() < LIMITS.longest() + Duration::from_millis(500));
    let endings = cells().endings();
    assert_eq!((endings.crash, endings.nonsense), (0, 0));
}
