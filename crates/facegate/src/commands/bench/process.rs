//! What a process has used so far, from `/proc`.

use std::path::Path;
use std::time::Duration;

/// This process's folder in `/proc`; the others' have numbers.
pub(super) const SELF: &str = "self";

fn proc_file(process: &str, name: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc").join(process).join(name)).ok()
}

/// Time that a process has spent on a core together with its children, which decode its pictures (Linux: fields 14 to 17 of
/// `stat`, in hundredths, and the same of those that live).
pub(super) fn process_cpu(process: &str) -> Option<Duration> {
    let stat = proc_file(process, "stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    let living = children(process).iter().filter_map(|child| process_cpu(child)).sum::<Duration>();
    Some(Duration::from_millis(ticks * 10) + living)
}

/// The processes that a process has started and that still run.
fn children(process: &str) -> Vec<String> {
    let Ok(threads) = std::fs::read_dir(Path::new("/proc").join(process).join("task")) else { return Vec::new() };
    let of = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads.flatten().map(of).flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The most memory that a process has held (Linux: `VmHWM`).
pub(super) fn peak_memory_mb(process: &str) -> Option<f64> {
    let status = proc_file(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_work_of_children_counts_while_they_live_and_after() {
        let before = process_cpu(SELF).expect("Linux");
        let mut child = Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done"])
            .stdout(Stdio::null())
            .spawn()
            .expect("a shell");
        let begin = Instant::now();
        let has_grown = || process_cpu(SELF).expect("Linux") >= before + Duration::from_millis(300);
        while !has_grown() {
            assert!(begin.elapsed() < Duration::from_secs(60), "the child's work does not count");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().expect("it still runs");
        child.wait().expect("it ended");
        assert!(has_grown(), "what it did is forgotten with it");
    }
}
