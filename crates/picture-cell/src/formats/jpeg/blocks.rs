//! Whether every block of a JPEG came: walks over the entropy-coded data of each scan, as a decoder would read it, without
//! building the blocks.
//!
//! Decoders fill what is missing with grey or with what they made of damaged bits, and a caller would take the answer for
//! one about the whole picture. The last bytes of a file say nothing: whole files lack an end marker or have trailers after
//! it, damaged ones have it. So the blocks themselves are counted: each interval between two restart markers must hold
//! its number of blocks, no less, and nothing after them but what encoders fill up with.

use std::ops::Range;

use super::bits::{Bits, ENDS, LARGEST_DC, LONGEST, NO_CODE, TOO_MANY, WINDOW, window};
use super::codes::{Codes, Coefficient, QUICK, Step, Steps};
use super::markers::{Coded, Frame, Layout, Scan};

/// Whole bytes of any value that may be left over after the last block of an interval.
const MAX_LEFT_OVER: usize = 3;

/// As many of one value may be before a restart marker, and any number of them at the end: webcams and scanners fill words
/// and buffers up.
const MAX_PADDING: usize = 16;

/// How far what is filled up may seem to reach into the blocks. Where it does further, blocks were made of it: the end of
/// the data was lost, and what was to hold it is still empty.
const MAX_REACH: usize = 8;

const ENDED: u32 = Step::END as u32;

/// Ends with an error unless every block of every scan of `layout` came.
pub(super) fn all_came(layout: &Layout<'_>) -> Result<(), String> {
    let frame = &layout.frame;
    let mut progress = Progress::new(frame);
    let mut bits = Bits::default();
    let scans = layout.scans.len();
    for (index, scan) in layout.scans.iter().enumerate() {
        let walked = Walk::new(frame, scan).and_then(|walk| walk.scan(&mut bits, &mut progress));
        walked.map_err(|stop| stop.told(if scans > 1 { format!(" of scan {}", index + 1) } else { String::new() }))?;
        progress.finish(scan);
    }
    progress.complete()
}

/// What earlier scans sent.
struct Progress {
    /// For each component and coefficient: bits still to come; `None` before the first scan that has it.
    left: Vec<[Option<u8>; 64]>,
    /// For each component of a progressive frame and each of its blocks: which coefficients are not zero.
    filled: Vec<Vec<u64>>,
}

impl Progress {
    fn new(frame: &Frame) -> Self {
        let blocks = |component| {
            let (across, down) = frame.blocks(component);
            if frame.progressive { across as usize * down as usize } else { 0 }
        };
        let filled = (0..frame.components.len()).map(|component| vec![0; blocks(component)]).collect();
        Self { left: vec![[None; 64]; frame.components.len()], filled }
    }

    fn finish(&mut self, scan: &Scan<'_>) {
        for coded in &scan.components {
            for coefficient in scan.band.0..=scan.band.1 {
                self.left[coded.component][usize::from(coefficient)] = Some(scan.bits.1);
            }
        }
    }

    fn complete(&self) -> Result<(), String> {
        let cells = || self.left.iter().flatten();
        let came = cells().filter(|&&left| left == Some(0)).count();
        if came == cells().count() {
            return Ok(());
        }
        Err(format!(
            "{} % of its coefficients arrived in full, the scans with the rest are missing",
            came * 100 / cells().count()
        ))
    }
}

/// Where a walk ended, and why there.
pub(super) struct Stop {
    blocks: u64,
    of: u64,
    fault: Fault,
}

impl Stop {
    /// Before the first block.
    pub(super) fn damaged_table() -> Self {
        Self { blocks: 0, of: 1, fault: Fault::Missing("a Huffman table is damaged or missing") }
    }

    /// In words, with the `place` of the scan among others.
    pub(super) fn told(self, place: impl std::fmt::Display) -> String {
        let Self { blocks, of, fault } = self;
        let share = (blocks * 100).checked_div(of).unwrap_or(0);
        match fault {
            Fault::Missing(reason) => format!("{share} % of the blocks{place} arrived, then {reason}"),
            Fault::Surplus(bytes) if blocks == of => format!("{bytes} bytes follow the last block{place}"),
            Fault::Surplus(bytes) => format!("{share} % of the blocks{place} arrived, then {bytes} bytes of none"),
        }
    }
}

enum Fault {
    /// The next block did not come, for this reason.
    Missing(&'static str),
    /// So many bytes came that belong to no block.
    Surplus(usize),
}

/// The tables of a scan's components.
enum Tables {
    Sequential(Vec<Sequential>),
    /// One for each component; `None` for scans that have no codes.
    Progressive(Vec<Option<Codes>>),
}

/// A walk over one scan.
struct Walk<'s, 'b> {
    scan: &'s Scan<'b>,
    /// Minimum coded units, across and down, and the blocks in each: which of the scan's components, once per block.
    units: (u32, u32),
    unit: Vec<usize>,
    tables: Tables,
}

impl<'s, 'b> Walk<'s, 'b> {
    fn new(frame: &Frame, scan: &'s Scan<'b>) -> Result<Self, Stop> {
        let (units, unit) = if let [only] = &scan.components[..] {
            (frame.blocks(only.component), vec![0])
        } else {
            let blocks = |c: &Coded<'_>| frame.components[c.component].across * frame.components[c.component].down;
            let each = |(i, c)| std::iter::repeat_n(i, blocks(c) as usize);
            (frame.units(), scan.components.iter().enumerate().flat_map(each).collect())
        };
        let codes = |table: Option<&[u8]>| table.and_then(Codes::new).ok_or_else(Stop::damaged_table);
        let (dc, ac) = (|coded: &Coded<'_>| codes(coded.dc), |coded: &Coded<'_>| codes(coded.ac));
        let tables = if frame.progressive {
            let table = |coded| match (scan.band.0, scan.bits.0) {
                (0, 0) => dc(coded).map(Some),
                (0, _) => Ok(None),
                _ => ac(coded).map(Some),
            };
            Tables::Progressive(scan.components.iter().map(table).collect::<Result<_, _>>()?)
        } else {
            let table = |coded| {
                let (dc, ac) = (dc(coded)?, ac(coded)?);
                Ok(Sequential { steps: Steps::new(&ac), dc, ac })
            };
            Tables::Sequential(scan.components.iter().map(table).collect::<Result<_, _>>()?)
        };
        Ok(Self { scan, units, unit, tables })
    }

    fn scan(&self, bits: &mut Bits, progress: &mut Progress) -> Result<(), Stop> {
        intervals(self.scan, self.units, bits, |bits, units| match &self.tables {
            Tables::Sequential(tables) => {
                let unit: Vec<_> = self.unit.iter().map(|&component| &tables[component]).collect();
                sequential(bits, &unit, units)
            }
            Tables::Progressive(tables) => {
                for unit in units.clone() {
                    self.unit(tables, bits, progress, unit).map_err(|reason| (unit, reason))?;
                }
                Ok(())
            }
        })
    }

    /// The blocks of one unit of a progressive scan.
    fn unit(
        &self,
        tables: &[Option<Codes>],
        bits: &mut Bits,
        progress: &mut Progress,
        unit: u64,
    ) -> Result<(), &'static str> {
        for &component in &self.unit {
            match &tables[component] {
                Some(codes) if self.scan.band.0 == 0 => bits.dc(codes)?,
                None => bits.skip(1),
                Some(codes) => {
                    let filled = progress.filled[self.scan.components[component].component].get_mut(unit as usize);
                    let filled = filled.ok_or("a scan of the wrong size")?;
                    let band = (u32::from(self.scan.band.0), u32::from(self.scan.band.1));
                    if self.scan.bits.0 == 0 {
                        bits.first_block(codes, band, filled)?;
                    } else {
                        bits.refined_block(codes, band, filled)?;
                    }
                }
            }
            if bits.ran_out() {
                return Err(ENDS);
            }
        }
        Ok(())
    }
}

/// Goes through the `units` (across and down) of a scan from restart marker to restart marker: `walk` reads the blocks of a
/// run of units and says, on an error, in which of them it lies.
pub(super) fn intervals(
    scan: &Scan<'_>,
    (across, down): (u32, u32),
    bits: &mut Bits,
    mut walk: impl FnMut(&mut Bits, Range<u64>) -> Result<(), (u64, &'static str)>,
) -> Result<(), Stop> {
    let units = u64::from(across) * u64::from(down);
    let interval = if scan.restart > 0 { scan.restart.into() } else { units };
    let mut data = scan.data;
    let (mut done, mut marker) = (0, 0);
    while done < units {
        let stop = |blocks, reason| Stop { blocks, of: units, fault: Fault::Missing(reason) };
        let surplus = |blocks, bytes| Stop { blocks, of: units, fault: Fault::Surplus(bytes) };
        let restart = bits.fill(&mut data);
        let until = units.min(done + interval);
        walk(bits, done..until).map_err(|(unit, reason)| stop(unit, reason))?;
        done = until;
        let (read, left) = bits.halves();
        if !is_padding(read, left, if done == units { usize::MAX } else { MAX_PADDING }) {
            return Err(surplus(done, left.len()));
        }
        if done == units {
            // Some encoders write a marker after the last interval, too.
            let ended = restart.is_none() || is_padding(&[], data, usize::MAX);
            return if ended { Ok(()) } else { Err(surplus(done, data.len())) };
        }
        match restart {
            Some(number) if number == marker => marker = (marker + 1) & 7,
            Some(_) => return Err(stop(done, "a restart marker out of turn")),
            None => return Err(stop(done, ENDS)),
        }
    }
    Ok(())
}

/// Whether `left`, which follows the blocks of an interval in `read`, is what encoders fill up with, at most `most` bytes.
fn is_padding(read: &[u8], left: &[u8], most: usize) -> bool {
    let [value, ..] = *left else { return true };
    let run = |bytes: &[u8]| bytes.iter().rev().take_while(|&&byte| byte == value).count();
    left.len() <= MAX_LEFT_OVER || left.len() <= most && run(left) == left.len() && run(read) <= MAX_REACH
}

/// Walks over the blocks of each of `units`; on an error, the unit in which it lies.
fn sequential(bits: &mut Bits, unit: &[&Sequential], units: Range<u64>) -> Result<(), (u64, &'static str)> {
    let end = bits.length * 8;
    let mut at = bits.at;
    for done in units {
        for tables in unit {
            at = tables.block(&bits.bytes, at).map_err(|reason| (done, reason))?;
            if at > end {
                return Err((done, ENDS));
            }
        }
    }
    bits.at = at;
    Ok(())
}

/// The tables for the blocks of a component of a sequential scan.
struct Sequential {
    dc: Codes,
    ac: Codes,
    steps: Steps,
}

impl Sequential {
    /// The bit after the block that begins at bit `at`.
    #[inline(always)]
    fn block(&self, bytes: &[u8], mut at: usize) -> Result<usize, &'static str> {
        let mut window = window(bytes, at);
        let (length, size) = self.dc.find(window).ok_or(NO_CODE)?;
        if size > LARGEST_DC {
            return Err(NO_CODE);
        }
        let mut used = length + u32::from(size);
        window <<= used;
        let mut next = 1;
        loop {
            while used <= WINDOW - QUICK {
                let step = self.steps.find(window);
                let reached = next + u32::from(step.places);
                if step.bits > 0 && reached < 64 {
                    next = reached;
                    used += u32::from(step.bits);
                    window <<= step.bits;
                    continue;
                }
                // The block ends in the reach of the look-up, or the next coefficient is larger than that.
                if step.bits > 0 && (ENDED..ENDED + 64).contains(&reached) {
                    return Ok(at + (used + u32::from(step.bits)) as usize);
                }
                if used > WINDOW - LONGEST {
                    break;
                }
                let (length, symbol) = self.ac.find(window).ok_or(NO_CODE)?;
                let coefficient = Coefficient::new(symbol);
                used += length + coefficient.bits;
                window <<= length + coefficient.bits;
                next += coefficient.places;
                if coefficient.ends || next >= 64 {
                    return if next > 64 { Err(TOO_MANY) } else { Ok(at + used as usize) };
                }
            }
            at += used as usize;
            used = 0;
            window = super::bits::window(bytes, at);
        }
    }
}
