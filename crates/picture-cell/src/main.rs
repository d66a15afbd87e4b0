//! A cell alone: for tests, for fuzzing, and for programs that embed the library and cannot become a cell themselves.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    return picture_cell::cell::run(std::env::args().skip(1));
    #[cfg(not(target_os = "linux"))]
    ExitCode::FAILURE
}
