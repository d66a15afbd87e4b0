//! When the free part of the heap goes back to the system, in programs that allocate with mimalloc.

/// Gives back what this thread has freed and what lies free between the threads, at once instead of some day. The pages
/// cost a fault each when they are used again: about 5 ms for what one analysis uses.
///
/// mimalloc keeps what a thread has freed for that thread: only when the thread itself asks, the whole of it is given back.
pub fn give_back() {
    // SAFETY: the call takes no pointer and touches free memory only; any thread may make it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// `mi_option_purge_delay` of mimalloc's second version, which its crate does not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// How many milliseconds freed memory stays with the process before it is given back, unless the environment says otherwise
/// (`MIMALLOC_PURGE_DELAY`). mimalloc's own 10 ms are less than an analysis takes between two uses of the same memory.
pub fn keep_free_memory(milliseconds: u16) {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: the call takes two numbers, and the first is an option of this version.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, milliseconds.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_whose_value_mimalloc_says_it_has() {
        // SAFETY: as above.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 10, "mimalloc's default");
        keep_free_memory(100);
        assert_eq!(delay(), 100);
    }
}
