//! The machine: system, processor, cores, memory, descriptors, and the clients that fetch networks.

use std::path::Path;
use std::thread;

use face_models::{MissingClient, missing_clients};

use super::Finding;

/// Memory that one worker and the program take together under load, in MB, rounded up (docs/sizing.md).
const LEAST_MEMORY_MB: u64 = 512;

/// Descriptors below which a busy service runs out: its connections (512 by default) and as many links.
const LEAST_DESCRIPTORS: u64 = 1024;

pub(super) fn findings() -> Vec<Finding> {
    let system =
        format!("facegate {} on {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    let mut findings = vec![Finding::fine("system", system), processor(), cores()];
    findings.extend(memory());
    findings.extend(descriptors());
    findings
}

fn processor() -> Finding {
    #[cfg(target_arch = "x86_64")]
    {
        if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
            return Finding::advice(
                "processor",
                "it has no AVX2: everything works, several times slower than in docs/performance.md",
                "on a virtual machine, choose a processor type that passes the host's features on",
            );
        }
        let wide = if is_x86_feature_detected!("avx512f") { "AVX2 and AVX-512" } else { "AVX2" };
        Finding::fine("processor", format!("it has {wide}"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    Finding::fine("processor", "its vector instructions are part of its architecture")
}

fn cores() -> Finding {
    match thread::available_parallelism() {
        Ok(cores) => {
            Finding::fine("cores", format!("{cores}, and as many workers unless server.workers says otherwise"))
        }
        Err(error) => Finding::advice("cores", format!("their number is unknown: {error}"), "set server.workers"),
    }
}

/// What this process may take: the control group's limit or the machine's memory, whichever is less.
fn memory() -> Option<Finding> {
    let mb = limit(&std::fs::read_to_string("/proc/meminfo").ok()?, group_limit().as_deref())?;
    Some(if mb < LEAST_MEMORY_MB {
        Finding::wrong(
            "memory",
            format!("{mb} MB are not enough for one worker and a large picture"),
            format!("give it {LEAST_MEMORY_MB} MB or more (docs/sizing.md)"),
        )
    } else {
        Finding::fine("memory", format!("{mb} MB"))
    })
}

fn group_limit() -> Option<String> {
    std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok()
}

/// Megabytes out of /proc/meminfo and memory.max, which may say `max`.
fn limit(meminfo: &str, group: Option<&str>) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let machine = line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024;
    let group = group.and_then(|text| text.trim().parse::<u64>().ok()).map(|bytes| bytes >> 20);
    Some(group.map_or(machine, |group| group.min(machine)))
}

#[cfg(unix)]
fn descriptors() -> Option<Finding> {
    use rustix::process::{Resource, getrlimit};
    let current = getrlimit(Resource::Nofile).current?;
    (current < LEAST_DESCRIPTORS).then(|| {
        Finding::advice(
            "files",
            format!("at most {current} descriptors may be open, fewer than connections may come"),
            format!("raise the limit (`ulimit -n {LEAST_DESCRIPTORS}`, LimitNOFILE=) or lower server.max_connections"),
        )
    })
}

#[cfg(not(unix))]
fn descriptors() -> Option<Finding> {
    None
}

/// The registries' clients, which matter only where networks have to be fetched.
pub(super) fn fetchers() -> Vec<Finding> {
    let wrong = |MissingClient { client, advice }| {
        Finding::wrong(
            "fetching",
            format!("there is no {client} to fetch networks with"),
            format!("{advice}, or copy a filled model folder here"),
        )
    };
    missing_clients().into_iter().map(wrong).collect()
}

/// Whether others than the owner may write to a file or folder; `None` where that cannot be told.
#[cfg(unix)]
pub(super) fn others_may_write(path: &Path) -> Option<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::fs::metadata(path).ok()?.mode() & 0o002 != 0)
}

#[cfg(not(unix))]
pub(super) fn others_may_write(_: &Path) -> Option<bool> {
    None
}

/// Whether others than the owner and its group may read a file; `None` where that cannot be told.
#[cfg(unix)]
pub(super) fn others_may_read(path: &Path) -> Option<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::fs::metadata(path).ok()?.mode() & 0o004 != 0)
}

#[cfg(not(unix))]
pub(super) fn others_may_read(_: &Path) -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_machine_and_group_counts() {
        let machine = "MemTotal:       2097152 kB\nMemFree: 1 kB\n";
        assert_eq!(limit(machine, None), Some(2048));
        assert_eq!(limit(machine, Some("max\n")), Some(2048));
        assert_eq!(limit(machine, Some("536870912\n")), Some(512));
        assert_eq!(limit(machine, Some("9223372036854771712\n")), Some(2048));
        assert_eq!(limit("nothing", None), None);
    }
}
