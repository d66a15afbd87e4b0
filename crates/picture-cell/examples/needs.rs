//! What decoding a picture needs in a cell: its time, and the least `max_decode_bytes` with which it is decoded.
//!
//! `cargo run --release -p picture-cell --example needs -- target/release/picture-cell PICTURE...`

#![expect(clippy::print_stdout, reason = "prints its figures")]

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::{Duration, Instant};

    use picture_cell::cell::{Cells, Program};
    use picture_cell::{DecodeError, DecodeLimits, PictureError};

    /// Width, height and time; `None` where the memory did not suffice.
    type Outcome = Result<Option<(usize, usize, Duration)>, Box<dyn std::error::Error>>;

    /// Memory is told to this many bytes.
    const STEP: u64 = 1 << 20;

    let mut words = std::env::args().skip(1);
    let path = std::fs::canonicalize(words.next().ok_or("the program that becomes a cell, then pictures")?)?;
    for picture in words {
        let bytes = std::fs::read(&picture)?;
        let attempt = |limits: &DecodeLimits| -> Outcome {
            let program = Program { path: path.clone(), words: Vec::new() };
            let cells = Cells::start(program, limits.clone(), 1, bytes.len())?;
            cells.warm_up()?;
            let begin = Instant::now();
            match cells.decode(&bytes) {
                Ok(found) => Ok(Some((found.pixels.width(), found.pixels.height(), begin.elapsed()))),
                Err(DecodeError::Picture(PictureError::TooCostly { .. })) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        let most = DecodeLimits { max_decode_ms: 60_000, max_decode_bytes: 4 << 30, ..DecodeLimits::default() };
        let Some((width, height, time)) = attempt(&most)? else { return Err("it needs more than 4 GiB".into()) };
        let (mut too_few, mut enough) = (0, most.max_decode_bytes / STEP);
        while enough - too_few > 1 {
            let middle = too_few.midpoint(enough);
            let limits = DecodeLimits { max_decode_bytes: middle * STEP, ..most.clone() };
            if attempt(&limits)?.is_some() { enough = middle } else { too_few = middle }
        }
        println!("{picture}: {width} x {height}, {:.0} ms, {enough} MiB", time.as_secs_f64() * 1e3);
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {}
