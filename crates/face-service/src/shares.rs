//! Something that there is a limited amount of, of which nobody holds more than a share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An amount that many hold parts of.
#[derive(Debug)]
pub struct Shares<K>(Arc<Mutex<State<K>>>);

#[derive(Debug)]
struct State<K> {
    whole: usize,
    used: usize,
    /// Of those who hold anything.
    by: HashMap<K, usize>,
}

/// Why there is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMore {
    /// All of it is in use.
    Whole,
    /// Who asks has his share.
    Share,
}

/// A part; dropping it gives it back.
#[derive(Debug)]
pub struct Part<K: Eq + Hash + Clone> {
    of: Shares<K>,
    holder: K,
    amount: usize,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Nobody holds anything yet.
    pub fn new(whole: usize) -> Self {
        Self(Arc::new(Mutex::new(State { whole, used: 0, by: HashMap::new() })))
    }

    /// A part of nothing yet.
    pub fn part(&self, holder: K) -> Part<K> {
        Part { of: self.clone(), holder, amount: 0 }
    }

    /// A part of `amount`, unless `holder` would have more than `share` then.
    pub fn take(&self, holder: K, amount: usize, share: usize) -> Result<Part<K>, NoMore> {
        let mut part = self.part(holder);
        part.grow(amount, share)?;
        Ok(part)
    }

    /// How much is in use.
    pub fn used(&self) -> usize {
        self.state().used
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Part<K> {
    /// Whose it is.
    pub fn holder(&self) -> &K {
        &self.holder
    }

    /// The same part, `amount` larger, unless its holder would have more than `share` then.
    pub fn grow(&mut self, amount: usize, share: usize) -> Result<(), NoMore> {
        let mut state = self.of.state();
        let has = state.by.get(&self.holder).copied().unwrap_or_default();
        if amount > state.whole.saturating_sub(state.used) {
            return Err(NoMore::Whole);
        }
        if has.saturating_add(amount) > share {
            return Err(NoMore::Share);
        }
        if amount > 0 {
            state.used += amount;
            *state.by.entry(self.holder.clone()).or_default() += amount;
            self.amount += amount;
        }
        Ok(())
    }
}

impl<K: Eq + Hash + Clone> Drop for Part<K> {
    fn drop(&mut self) {
        let mut state = self.of.state();
        state.used -= self.amount;
        let left = state.by.get(&self.holder).map_or(0, |has| has - self.amount);
        // Who holds nothing leaves no trace: the table is as long as there are holders.
        if left == 0 {
            state.by.remove(&self.holder);
        } else if let Some(has) = state.by.get_mut(&self.holder) {
            *has = left;
        }
    }
}

/// The share of a whole in units of it, at least one.
pub fn share_of(whole: usize, share: f64) -> usize {
    ((whole as f64 * share) as usize).clamp(1, whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_more_than_a_share_and_all_together_no_more_than_there_is() {
        let shares = Shares::new(10);
        let mut first = shares.take("ann", 5, 6).expect("there is");
        assert_eq!(first.grow(2, 6), Err(NoMore::Share));
        assert_eq!(shares.take("ann", 2, 6).expect_err("her share"), NoMore::Share);
        let second = shares.take("bob", 5, 6).expect("his share");
        assert_eq!(shares.take("cem", 1, 6).expect_err("all gone"), NoMore::Whole);
        assert_eq!((shares.used(), shares.state().by.get("ann")), (10, Some(&5)));
        drop(second);
        assert_eq!(first.grow(1, 6), Ok(()));
        assert_eq!((shares.used(), shares.state().by.get("bob")), (6, None));
        drop(first);
        assert_eq!(shares.state().by.len(), 0);
    }

    #[test]
    fn a_share_is_at_least_one_and_at_most_the_whole() {
        assert_eq!([share_of(2, 0.75), share_of(1, 0.1), share_of(8, 1.0), share_of(0, 0.5)], [1, 1, 8, 1]);
        assert_eq!(share_of(usize::MAX, 1.0), usize::MAX);
    }
}
