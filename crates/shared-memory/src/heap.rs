//! The free part of the heap goes back to the system.

/// Gives back what this thread has freed and what lies free between the threads, at once instead of some day. The pages
/// cost a fault each when they are used again: about 5 ms for what one analysis uses.
///
/// Does nothing unless the crate's feature `mimalloc` is on, which is for programs that allocate with mimalloc: it keeps
/// what a thread has freed for that thread, and only when the thread itself asks, the whole of it is given back.
///
/// Inlined, so that it is compiled where it is called: what does not call it keeps the C library's allocator, which linking
/// mimalloc in would replace.
#[inline]
pub fn give_back_heap() {
    #[cfg(feature = "mimalloc")]
    // SAFETY: the call takes no pointer and touches free memory only; any thread may make it at any time.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}
