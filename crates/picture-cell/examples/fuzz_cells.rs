//! Structured files of one format through a cell with low limits, for some minutes.
//!
//! `cargo run --release -p picture-cell --example fuzz_cells -- target/release/picture-cell tiff 20` prints how many were
//! decoded and refused. It ends with an error, and writes the file beside it, when a cell did what no decoder may: died
//! other than by a limit, gave a nonsensical answer, or was answered late.

#![expect(clippy::print_stdout, reason = "prints its figures")]

#[cfg(target_os = "linux")]
#[path = "../tests/support/structured.rs"]
mod structured;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use picture_cell::cell::{Cells, Program};
    use picture_cell::{DecodeError, DecodeLimits};

    /// A hundredth of the defaults and less.
    const LIMITS: DecodeLimits =
        DecodeLimits { max_pixels: 1 << 18, max_side: 4_000, max_decode_ms: 1_000, max_decode_bytes: 24 << 20 };
    /// Beyond the time limit.
    const GRACE: Duration = Duration::from_millis(500);

    let words: Vec<String> = std::env::args().skip(1).collect();
    let [program, name, minutes, seed @ ..] = words.as_slice() else {
        return Err("the program that becomes a cell, a format, minutes, a seed".into());
    };
    let kind = structured::KINDS.into_iter().find(|kind| kind.name == name).ok_or("no such format")?;
    let words = if program.ends_with("facegate") { vec!["decode-cell".to_owned()] } else { Vec::new() };
    let cells = Cells::start(Program { path: std::fs::canonicalize(program)?, words }, LIMITS, 1, 16 << 20)?;
    let end = Instant::now() + Duration::from_secs_f64(minutes.parse::<f64>()? * 60.0);
    let mut state = seed.first().map_or(Ok(1), |seed| seed.parse::<u64>())?.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let (mut files, mut late) = (0_u64, 0_u64);
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    while Instant::now() < end {
        // xorshift (Marsaglia 2003).
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let length = (next() % 6_000) as usize;
        let script: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
        let file = kind.file(&script);
        let before = cells.endings();
        let begin = Instant::now();
        let outcome = match cells.decode(&file) {
            Ok(picture) => {
                let (width, height) = (picture.pixels.width() as u64, picture.pixels.height() as u64);
                assert!(width * height <= LIMITS.max_pixels);
                assert_eq!(picture.pixels.data().len() as u64, width * height * 3);
                "decoded"
            }
            Err(DecodeError::Picture(error)) => error.code(),
            Err(error) => return Err(error.into()),
        };
        let took = begin.elapsed();
        late += u64::from(took > LIMITS.longest() + GRACE);
        let after = cells.endings();
        if after.crash > before.crash || after.nonsense > before.nonsense {
            let path = format!("{name}-{files}.found");
            std::fs::write(&path, &file)?;
            println!("{path}: {after:?}");
        }
        *outcomes.entry(outcome).or_default() += 1;
        files += 1;
    }
    println!("{name}: {files} files, {outcomes:?}, {:?}, {late} answered late", cells.endings());
    let endings = cells.endings();
    if endings.crash + endings.nonsense > 0 { Err("a cell did what no decoder may".into()) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
