//! What a cell gives up before it sees a picture: descriptors, files, the network, other processes, memory and time
//! without bound. Nothing of it can be taken back.

use std::collections::BTreeMap;
use std::error::Error;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getpid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::set_no_new_privs;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// A cell that cannot be confined decodes nothing.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {error}")]
pub(super) struct ConfinementError {
    step: &'static str,
    error: Box<dyn Error>,
}

/// What to make of a failure of `step`.
pub(super) fn failed<E: Into<Box<dyn Error>>>(step: &'static str) -> impl FnOnce(E) -> ConfinementError {
    move |error| ConfinementError { step, error: error.into() }
}

/// Processor time of a cell's whole life in seconds. The parent keeps time itself and ends a cell long before: this holds
/// when the parent cannot, because it is stopped or stuck.
const LIFE_CPU_S: u64 = 600;

/// Where the system describes this process.
const STATUS: &str = "/proc/self/status";

/// A step that may fail in two ways.
const FILTER: &str = "the system call filter (seccomp)";

/// Ends this process with its parent, whatever happens from here on.
pub(super) fn bind_to_parent() -> Result<(), ConfinementError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("ending with the service"))?;
    shared_memory::close_inherited().map_err(failed("closing what was left open"))
}

/// Gives everything up but `memory` bytes beyond what is in use now.
pub(super) fn confine(memory: u64) -> Result<(), ConfinementError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("keeping debuggers out"))?;
    set_no_new_privs(true).map_err(failed("giving up new privileges"))?;
    let limit = |resource, most| limit(resource, most).map_err(failed("setting a limit"));
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit_time(LIFE_CPU_S).map_err(failed("setting a limit"))?;
    let status = std::fs::read_to_string(STATUS).map_err(failed(STATUS))?;
    let (addresses, data) = in_use(&status).ok_or("it lacks a size").map_err(failed(STATUS))?;
    limit(Resource::As, addresses.saturating_add(memory))?;
    // Counts what is private and writable only: the address space alone could be kept full with what is never used. An
    // allocator may have set addresses aside that hold nothing yet: those are part of what a picture may take.
    limit(Resource::Data, data.saturating_add(memory))?;
    no_files().map_err(failed("giving files up (Landlock)"))?;
    limit(Resource::Nofile, 0)?;
    let filter = allowed().map_err(failed(FILTER))?;
    seccompiler::apply_filter(&filter).map_err(failed(FILTER))
}

/// Sets a limit for good, or a lower one where this process may have no more.
fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let most = Some(getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most)));
    setrlimit(resource, Rlimit { current: most, maximum: most })
}

/// The same for processor time. A second before its end comes a signal that stands for nothing else; what comes at the end also
/// comes when memory runs out.
fn limit_time(seconds: u64) -> rustix::io::Result<()> {
    limit(Resource::Cpu, seconds)?;
    let maximum = getrlimit(Resource::Cpu).maximum;
    // Of a single second no part is left for that: the system knows no limit of 0.
    let current = maximum.map(|most| if most > 1 { most - 1 } else { most });
    setrlimit(Resource::Cpu, Rlimit { current, maximum })
}

/// Bytes of address space and of private memory that is filled, by the file in which the system describes this process.
fn in_use(status: &str) -> Option<(u64, u64)> {
    let kilobytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    // gVisor tells only how much memory there is of all kinds.
    Some((kilobytes("VmSize:")?, kilobytes("RssAnon:").or_else(|| kilobytes("VmRSS:"))?))
}

/// No file and no port, where the kernel has Landlock (5.13, for ports 6.7); elsewhere the system call filter stands alone.
fn no_files() -> Result<(), RulesetError> {
    let rules = Ruleset::default().handle_access(AccessFs::from_all(ABI::V5))?;
    let rules = rules.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    rules.create()?.restrict_self()?;
    Ok(())
}

/// The system calls of a decoder: reading requests, writing answers, memory, and its own end. Any other one ends it.
fn allowed() -> Result<BpfProgram, BackendError> {
    let equals =
        |argument, value: u64| SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value);
    let without =
        |argument, bits: u64| SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bits), 0);
    let with = |argument, bits: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bits), bits)
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = [
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_getrandom,
        libc::SYS_clock_gettime,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    // Requests come and answers go through standard input, a socket; nothing else is left open.
    rules.insert(libc::SYS_read, vec![SeccompRule::new(vec![equals(0, 0)?])?]);
    // Standard error is /dev/null. Rust's last words go there before it aborts.
    let (answer, last_words) = (SeccompRule::new(vec![equals(0, 0)?])?, SeccompRule::new(vec![equals(0, 2)?])?);
    rules.insert(libc::SYS_write, vec![answer, last_words]);
    // Memory that is new, of no file, and never executable.
    let executable = libc::PROT_EXEC as u64;
    let anonymous = (libc::MAP_ANONYMOUS | libc::MAP_PRIVATE) as u64;
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![without(2, executable)?, with(3, anonymous)?])?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![without(2, executable)?])?]);
    // mimalloc names its memory.
    rules.insert(libc::SYS_prctl, vec![SeccompRule::new(vec![equals(0, libc::PR_SET_VMA as u64)?])?]);
    // A failed allocation aborts: a signal to itself, which tells the parent why.
    let own = u64::from(getpid().as_raw_nonzero().get().unsigned_abs());
    let abort = vec![equals(0, own)?, equals(2, libc::SIGABRT as u64)?];
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(abort)?]);
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// Tells the copy of this test program what to try.
    const ATTEMPT: &str = "FACEGATE_TEST_ATTEMPT";

    const MEMORY: u64 = 32 << 20;

    /// What a decoder that is under somebody else's control would try.
    fn attempt(name: &str) {
        match name {
            "nothing" => {}
            "memory within the limit" => drop(std::hint::black_box(vec![1_u8; 16 << 20])),
            "memory beyond the limit" => drop(std::hint::black_box(vec![1_u8; 64 << 20])),
            "a file" => drop(std::fs::File::open("/etc/passwd")),
            "a new file" => drop(std::fs::File::create("/tmp/facegate-cell-was-here")),
            "a socket" => drop(std::net::TcpStream::connect("127.0.0.1:1")),
            "another process" => drop(Command::new("/bin/true").status()),
            "a thread" => drop(std::thread::Builder::new().spawn(|| {})),
            "a signal to the parent" => {
                let parent = rustix::process::getppid().expect("has one");
                let _ = rustix::process::kill_process(parent, Signal::CONT);
            }
            "more memory" => {
                let most = Rlimit { current: Some(1 << 40), maximum: Some(1 << 40) };
                let _ = setrlimit(Resource::Data, most);
            }
            "words on standard output" => drop(rustix::io::write(io::stdout(), b"words\n")),
            other => panic!("{other} is no attempt"),
        }
    }

    #[test]
    fn a_limit_that_is_lower_already_stays() {
        // Of what Linux no longer counts.
        let locks = || getrlimit(Resource::Locks).maximum;
        setrlimit(Resource::Locks, Rlimit { current: Some(0), maximum: Some(4_096) }).expect("may be lowered");
        for (most, then) in [(8_192, 4_096), (1_024, 1_024)] {
            limit(Resource::Locks, most).expect("may be set");
            assert_eq!(locks(), Some(then));
        }
    }

    #[test]
    fn memory_in_use_is_known_in_every_sandbox() {
        let linux = "Name:\tcell\nVmSize:\t  900 kB\nVmRSS:\t   30 kB\nRssAnon:\t   20 kB\nRssFile:\t   10 kB\n";
        assert_eq!(in_use(linux), Some((900 << 10, 20 << 10)));
        assert_eq!(in_use("Name:\tcell\nVmSize:\t900 kB\nVmRSS:\t30 kB\n"), Some((900 << 10, 30 << 10)));
        assert_eq!(in_use("Name:\tcell\n"), None);
    }

    #[test]
    fn a_cell_that_does_what_it_may_not_is_ended() {
        if let Ok(name) = std::env::var(ATTEMPT) {
            confine(MEMORY).expect("confined");
            attempt(&name);
            // Around the test runner, which would write its report.
            std::process::exit(0);
        }
        let fate = |name: &str| {
            let mut command = Command::new(std::env::current_exe().expect("is known"));
            command.args(["--exact", "cell::confinement::tests::a_cell_that_does_what_it_may_not_is_ended"]);
            command.arg("--nocapture").env(ATTEMPT, name).stdout(Stdio::null()).stderr(Stdio::null());
            // A cell has no environment; this would have the last words include files that are opened for it.
            command.env_remove("RUST_BACKTRACE");
            let status = command.status().expect("a child");
            (status.code(), status.signal())
        };
        assert_eq!(fate("nothing"), (Some(0), None));
        assert_eq!(fate("memory within the limit"), (Some(0), None));
        assert_eq!(fate("memory beyond the limit"), (None, Some(libc::SIGABRT)));
        for name in [
            "a file",
            "a new file",
            "a socket",
            "another process",
            "a thread",
            "a signal to the parent",
            "more memory",
            "words on standard output",
        ] {
            assert_eq!(fate(name), (None, Some(libc::SIGSYS)), "{name}");
        }
    }

    /// How a copy of this test program ends that runs `test` with the attempt of that name.
    fn fate_of(test: &str, name: &str) -> (Option<i32>, Option<i32>) {
        let mut command = Command::new(std::env::current_exe().expect("is known"));
        command.args(["--exact", &format!("cell::confinement::tests::{test}"), "--nocapture"]).env(ATTEMPT, name);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("a child");
        (status.code(), status.signal())
    }

    #[test]
    fn a_cell_has_no_way_to_run_what_it_writes_or_to_be_looked_into() {
        if let Ok(name) = std::env::var(ATTEMPT) {
            confine(MEMORY).expect("confined");
            let memory = memmap2::MmapMut::map_anon(1 << 16).expect("memory");
            match &*name {
                "memory" => drop(std::hint::black_box(memory)),
                "executable memory" => drop(memory.make_exec()),
                "a debugger let in" => drop(set_dumpable_behavior(DumpableBehavior::Dumpable)),
                "a life beyond the parent's" => drop(set_parent_process_death_signal(None)),
                other => panic!("{other} is no attempt"),
            }
            std::process::exit(0);
        }
        let fate = |name| fate_of("a_cell_has_no_way_to_run_what_it_writes_or_to_be_looked_into", name);
        assert_eq!(fate("memory"), (Some(0), None));
        for name in ["executable memory", "a debugger let in", "a life beyond the parent's"] {
            assert_eq!(fate(name), (None, Some(libc::SIGSYS)), "{name}");
        }
    }

    #[test]
    fn a_cell_that_has_used_its_processor_time_up_says_so_by_how_it_ends() {
        if std::env::var_os(ATTEMPT).is_some() {
            // So that it need not take ten minutes.
            setrlimit(Resource::Cpu, Rlimit { current: Some(2), maximum: Some(2) }).expect("may be lowered");
            confine(MEMORY).expect("confined");
            loop {
                std::hint::spin_loop();
            }
        }
        let test = "a_cell_that_has_used_its_processor_time_up_says_so_by_how_it_ends";
        assert_eq!(fate_of(test, "no end"), (None, Some(libc::SIGXCPU)));
    }

    /// Landlock without the system call filter, where the kernel has it.
    #[test]
    fn files_and_ports_are_out_of_reach_twice() {
        if let Ok(name) = std::env::var(ATTEMPT) {
            if name == "whether there is Landlock" {
                let rules = Ruleset::default().handle_access(AccessFs::from_all(ABI::V1)).expect("rules");
                let status = rules.create().and_then(|rules| rules.restrict_self()).expect("asked");
                std::process::exit(i32::from(status.ruleset != landlock::RulesetStatus::NotEnforced));
            }
            no_files().expect("given up");
            std::process::exit(i32::from(std::fs::File::open("/etc/passwd").is_ok()));
        }
        let fate = |name| fate_of("files_and_ports_are_out_of_reach_twice", name);
        if fate("whether there is Landlock") == (Some(1), None) {
            assert_eq!(fate("a file"), (Some(0), None));
        } else {
            eprintln!("SKIPPED: this kernel has no Landlock");
        }
    }
}
