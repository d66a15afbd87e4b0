//! What signals do to this process.

use std::{mem, ptr};

/// Has the signals by which terminals and service managers ask a program to end do nothing here.
pub fn ignore_requests_to_end() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the call takes two numbers, and no code of ours runs when an ignored signal arrives.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Has the system keep how children ended until this process asks. A program that is started by one that ignores the
/// ends of its children does so too, and a child's number may then be another process's at any time.
pub(crate) fn keep_endings() {
    // SAFETY: zeros are a valid value of this plain structure, which the first call fills and nobody else has. A handler
    // that this program has set is left alone, and none runs by the default.
    unsafe {
        let mut now: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, ptr::null(), &raw mut now) == 0 && now.sa_sigaction == libc::SIG_IGN {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        }
    }
}
