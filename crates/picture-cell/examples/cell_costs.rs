//! What a cell costs beside decoding in the calling thread: processor time a picture, memory at rest, time to start.
//!
//! `cargo build --release && cargo run --release -p picture-cell --example cell_costs -- target/release/facegate PICTURE...`
//! alternates between the two on each picture and prints medians, since beside other work single turns are far off.

#![expect(clippy::print_stdout, reason = "prints its figures")]

/// As the program's, so that decoding in the thread costs what it would cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::hint::black_box;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use picture_cell::cell::{Cells, Program};
    use picture_cell::{DecodeLimits, Decoder};

    /// How long pictures are decoded one way before the other way has its turn, and how often both have it: so short that
    /// no cell rests for long meanwhile and gives its memory back. What that costs is a line of its own.
    const TURN: Duration = Duration::from_millis(200);
    const TURNS: usize = 40;
    /// Pictures after a rest, and how long that is.
    const RESTS: usize = 10;
    const REST: Duration = Duration::from_secs(4);

    /// Processor time of a process in ms.
    fn processor(id: u32) -> Result<f64, Box<dyn std::error::Error>> {
        let times = std::fs::read_to_string(format!("/proc/{id}/schedstat"))?;
        Ok(times.split_whitespace().next().ok_or("no time")?.parse::<f64>()? / 1e6)
    }

    fn median(mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    let mut words = std::env::args().skip(1);
    let path = words.next().ok_or("the program that becomes a cell, then pictures")?;
    let words_of_cell = if path.ends_with("facegate") { vec!["decode-cell".to_owned()] } else { Vec::new() };
    let begin = Instant::now();
    let program = Program { path: std::fs::canonicalize(path)?, words: words_of_cell };
    let cells = Cells::start(program, DecodeLimits::default(), 1, 64 << 20)?;
    cells.warm_up()?;
    println!("start to ready: {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    let cell = || {
        std::fs::read_dir("/proc/self/task")
            .ok()?
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
            .find_map(|ids| ids.split_whitespace().next()?.parse::<u32>().ok())
    };
    let first = cell().ok_or("no cell")?;
    for line in std::fs::read_to_string(format!("/proc/{first}/smaps_rollup"))?.lines() {
        if ["Rss:", "Pss:", "Private_Dirty:"].iter().any(|field| line.starts_with(field)) {
            println!("at rest {line}");
        }
    }
    let (own, here) = (std::process::id(), Decoder::in_process(DecodeLimits::default()));
    let there = Decoder::in_cells(cells);
    for picture in words {
        let bytes = std::fs::read(&picture)?;
        let (mut inside, mut more) = (Vec::new(), Vec::new());
        let begin = Instant::now();
        drop(there.decode(&bytes)?);
        let number = (TURN.as_secs_f64() / begin.elapsed().as_secs_f64()).clamp(2.0, 100.0) as u32;
        for turn in 0..=TURNS {
            let Some(cell) = cell() else { continue };
            let spent = |decoder: &Decoder| -> Result<f64, Box<dyn std::error::Error>> {
                let begin = processor(own)? + processor(cell)?;
                for _ in 0..number {
                    let picture = decoder.decode(&bytes)?;
                    // As an analysis does: all of it is read.
                    black_box(picture.pixels.data().iter().map(|&v| u64::from(v)).sum::<u64>());
                    decoder.recycle(picture);
                }
                Ok((processor(own)? + processor(cell)? - begin) / f64::from(number))
            };
            // On a busy machine a cell may be replaced, and its figures are gone: such a turn does not count.
            let (Ok(a), Ok(b)) = (spent(&here), spent(&there)) else { continue };
            // The first turn takes the memory that the others use again.
            if turn > 0 {
                inside.push(a);
                more.push(b - a);
            }
        }
        println!("{picture}: {:.2} ms in the thread, {:+.2} ms in a cell", median(inside), median(more));
        // After a rest a cell has given its memory back, or another one has taken its place.
        let mut rested = Vec::new();
        for _ in 0..RESTS {
            sleep(REST);
            let Some(cell) = cell() else { continue };
            let begin = processor(own)? + processor(cell)?;
            let picture = there.decode(&bytes)?;
            black_box(picture.pixels.data().iter().map(|&v| u64::from(v)).sum::<u64>());
            there.recycle(picture);
            rested.push(processor(own)? + processor(cell)? - begin);
        }
        println!("{picture}: {:.2} ms in a cell that has rested", median(rested));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {}
