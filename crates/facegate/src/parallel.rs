//! Many pictures on all cores, the results in the order of the pictures.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// How many items per thread may be ahead of the first one that is not finished.
const AHEAD: usize = 8;

/// The number of threads that a setting asks for; 0 asks for one per core.
pub fn threads(asked: usize) -> usize {
    if asked == 0 { thread::available_parallelism().map_or(1, usize::from) } else { asked }
}

/// Calls `work` for every item on `threads` threads, and `take` on the calling thread with the results in the order of
/// the items. Stops early when `take` fails.
///
/// Items are drawn when a thread has time for them, so that no more items are held than there are threads. While one item
/// takes long, at most a few results for each thread wait for it.
pub fn in_order<T: Send, R: Send, E>(
    items: impl Iterator<Item = T> + Send,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.max(1);
    let items = Mutex::new(items.enumerate());
    let window = Window { end: Mutex::new(Some(threads * AHEAD)), moved: Condvar::new() };
    let (sender, receiver) = sync_channel(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, items, window, work) = (sender.clone(), &items, &window, &work);
            scope.spawn(move || {
                let _closed_by_panic = CloseOnPanic(window);
                loop {
                    let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some((index, item)) = items.next() else { break };
                    drop(items);
                    if !window.wait_for(index) {
                        break;
                    }
                    if sender.send((index, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let _closed_by_panic = CloseOnPanic(&window);
        let mut waiting = BTreeMap::new();
        let mut expected = 0;
        for (index, result) in &receiver {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&expected) {
                expected += 1;
                if let Err(error) = take(result) {
                    window.close();
                    // Lets threads that wait for room in the channel go.
                    drop(receiver);
                    return Err(error);
                }
            }
            window.move_to(expected + threads * AHEAD);
        }
        Ok(())
    })
}

/// Up to which item threads may work; `None` when they are to stop.
struct Window {
    end: Mutex<Option<usize>>,
    moved: Condvar,
}

impl Window {
    /// Waits until the item may be worked on; false when there is nothing more to do.
    fn wait_for(&self, index: usize) -> bool {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let beyond = |end: &mut Option<usize>| end.is_some_and(|end| index >= end);
        self.moved.wait_while(end, beyond).unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn move_to(&self, end: usize) {
        let mut now = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.map(|_| end);
        self.moved.notify_all();
    }

    fn close(&self) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.moved.notify_all();
    }
}

/// Lets the other threads go when this one panics: they would wait for what it can no longer do.
struct CloseOnPanic<'w>(&'w Window);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let mut seen = Vec::new();
        let slow_first = |item: u64| {
            thread::sleep(Duration::from_micros(if item.is_multiple_of(7) { 500 } else { 5 }));
            item * 2
        };
        let done: Result<(), ()> = in_order(0..200_u64, 4, slow_first, |result| {
            seen.push(result);
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(seen, (0..200).map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_failure_ends_the_work() {
        let worked = AtomicUsize::new(0);
        let count = |_: u32| worked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(in_order(0..10_000, 3, count, |_| Err("no")), Err("no"));
        assert!(worked.load(Ordering::Relaxed) < 100);
        assert_eq!(in_order(0..0, 3, count, |_| Err("never")), Ok(()));
    }

    #[test]
    fn a_slow_item_does_not_let_the_others_run_ahead_without_end() {
        let drawn = AtomicUsize::new(0);
        let items = (0..10_000_u32).inspect(|_| {
            drawn.fetch_add(1, Ordering::SeqCst);
        });
        let most = AtomicUsize::new(0);
        let slow_first = |item: u32| {
            if item == 0 {
                thread::sleep(Duration::from_millis(100));
                most.store(drawn.load(Ordering::SeqCst), Ordering::SeqCst);
            }
        };
        assert_eq!(in_order(items, 4, slow_first, |()| Ok::<(), ()>(())), Ok(()));
        assert_eq!(drawn.load(Ordering::SeqCst), 10_000);
        let most = most.load(Ordering::SeqCst);
        assert!((1..=4 * AHEAD + 4).contains(&most), "{most} items were drawn while the first was worked on");
    }

    #[test]
    fn a_panic_ends_the_work_and_is_passed_on() {
        let fails = |item: u32| assert_ne!(item, 5);
        let run = || in_order(0..10_000_u32, 4, fails, |()| Ok::<(), ()>(()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
}
