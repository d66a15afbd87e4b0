//! Many pictures on all cores, the results in the order of the pictures.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Calls `work` for every item on `threads` threads, and `take` on the calling thread with the results in the order of
/// the items. Stops early when `take` fails.
///
/// Holds at most a few results more than there are threads, unless one item takes much longer than those after it.
pub fn in_order<T: Sync, R: Send, E>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let (sender, receiver) = sync_channel(threads.max(1));
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            let (sender, next, stopped, work) = (sender.clone(), &next, &stopped, &work);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    if sender.send((index, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut expected = 0;
        for (index, result) in &receiver {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&expected) {
                if let Err(error) = take(&items[expected], result) {
                    stopped.store(true, Ordering::Relaxed);
                    // Lets threads that wait for room in the channel go.
                    drop(receiver);
                    return Err(error);
                }
                expected += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..200).collect();
        let mut seen = Vec::new();
        let slow_first = |item: &u64| {
            thread::sleep(std::time::Duration::from_micros(if item.is_multiple_of(7) { 500 } else { 5 }));
            item * 2
        };
        let done: Result<(), ()> = in_order(&items, 4, slow_first, |item, result| {
            seen.push((*item, result));
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(seen, items.iter().map(|i| (*i, i * 2)).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_failure_ends_the_work() {
        let items = vec![(); 10_000];
        let worked = AtomicUsize::new(0);
        let count = |(): &()| worked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(in_order(&items, 3, count, |_, _| Err("no")), Err("no"));
        assert!(worked.load(Ordering::Relaxed) < 100);
        assert_eq!(in_order(&[] as &[()], 3, |()| (), |_, ()| Err("never")), Ok(()));
    }
}
