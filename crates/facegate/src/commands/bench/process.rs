//! What a process has used so far, from `/proc`.

use std::path::Path;
use std::time::Duration;

/// This process's folder in `/proc`; the others' have numbers.
pub(super) const SELF: &str = "self";

fn proc_file(process: &str, name: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc").join(process).join(name)).ok()
}

/// Time that all threads of a process have spent on a core (Linux: fields 14 and 15 of `stat`, in hundredths).
pub(super) fn process_cpu(process: &str) -> Option<Duration> {
    let stat = proc_file(process, "stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// The most memory that a process has held (Linux: `VmHWM`).
pub(super) fn peak_memory_mb(process: &str) -> Option<f64> {
    let status = proc_file(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
