//! Where a cell decodes: on the processor of the thread that waits for its pixels, whose cache then holds them. Read from
//! another processor's, those of 1280 x 720 cost 0.7 ms more.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The thread that made this stays on its processor until this is dropped, and a cell does with it: only one of them runs at
/// any time. The cell, which does nothing unless it is asked, stays there beyond.
#[derive(Debug)]
pub(super) struct Together {
    cell: Pid,
    /// Where the thread might run before.
    before: CpuSet,
}

impl Together {
    /// `None` where the system does not allow it; both then run where the system puts them.
    pub(super) fn new(cell: Pid) -> Option<Self> {
        let before = sched_getaffinity(None).ok()?;
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        sched_setaffinity(Some(cell), &here).ok()?;
        let together = Self { cell, before };
        sched_setaffinity(None, &here).ok()?;
        Some(together)
    }

    /// From now on the cell runs where the thread might before, too. For a cell that nobody has waited for, whose number
    /// could be another process's.
    pub(super) fn part(self) {
        // Fails for one that has ended.
        let _ = sched_setaffinity(Some(self.cell), &self.before);
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        // What was allowed before is allowed still, or the system has taken those processors away and moves the thread itself.
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_cell_stays_with_its_caller_who_is_free_again_afterwards() {
        let mut child = Command::new("sleep").arg("9").spawn().expect("a program");
        let (cell, before) = (Pid::from_child(&child), sched_getaffinity(None).expect("Linux"));
        let places = || [None, Some(cell)].map(|process| sched_getaffinity(process).expect("a process"));
        let together = Together::new(cell).expect("our own child");
        let [here, there] = places();
        assert_eq!((here.count(), here), (1, there));
        assert!(here.is_set(sched_getcpu()) && before.is_set(sched_getcpu()));
        drop(together);
        assert_eq!(places(), [before, there]);
        Together::new(cell).expect("our own child").part();
        assert_eq!(places(), [before; 2]);
        child.kill().and_then(|()| child.wait()).expect("our own child");
        assert!(Together::new(cell).is_none(), "it is gone");
        assert_eq!(sched_getaffinity(None).expect("Linux"), before);
    }
}
