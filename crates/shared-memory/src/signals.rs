//! What signals do to this process.

/// Has the signals by which terminals and service managers ask a program to end do nothing here.
pub fn ignore_requests_to_end() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the call takes two numbers, and no code of ours runs when an ignored signal arrives.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}
