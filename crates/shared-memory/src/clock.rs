//! The processor time of another process.

use std::io;
use std::time::Duration;

use rustix::process::Pid;

/// What the process has used since it was started, all of its threads together. Asked of the kernel's clock and not of `/proc`,
/// which counts in hundredths of a second and may hide processes.
pub(crate) fn processor_time(of: Pid) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: writes one number, to where `clock` lies.
    let failed = unsafe { libc::clock_getcpuclockid(of.as_raw_nonzero().get(), &mut clock) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one time, to where `time` lies.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32))
}
