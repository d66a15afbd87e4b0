//! Who may keep a connection open: a number of all, a share of one address. The one that is idle longest goes first; where
//! none is, the one whose answer waits longest to be taken, if that is more than a moment or a stranger's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::place::place;
use super::proxies::Network;
use super::standing::Standing;

/// The connections of one listener.
#[derive(Debug, Clone)]
pub(crate) struct Doors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    share: usize,
    /// Whose connections are those of many.
    proxies: Vec<Network>,
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// Where each comes from, unless that is a proxy, and how it stands.
    all: HashMap<u64, (Option<IpAddr>, Arc<Standing>)>,
    /// How many each place has.
    of: HashMap<IpAddr, usize>,
}

/// An open connection; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Door {
    doors: Doors,
    number: u64,
    pub(crate) standing: Arc<Standing>,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// As many as may be are open, and none of them is idle.
    Full,
    /// This address has its share, and none of its connections is idle.
    Share,
}

impl Doors {
    /// `max` in all, `share` of one address that is no proxy's.
    pub(crate) fn new(max: usize, share: usize, proxies: Vec<Network>) -> Self {
        Self(Arc::new(Inner { max, share, proxies, open: Mutex::default(), freed: Notify::new() }))
    }

    /// Room for a connection of `peer`, if need be that of another which is idle: of the same address when it has its
    /// share, else of whichever is idle longest.
    pub(crate) fn open(&self, peer: IpAddr) -> Result<Door, Closed> {
        let proxied = self.0.proxies.iter().any(|proxy| proxy.contains(peer.to_canonical()));
        let place = (!proxied).then(|| place(peer));
        let mut open = self.lock();
        // One address that may have all need not be told from the others.
        if let Some(place) = place
            && self.0.share < self.0.max
            && open.of.get(&place).is_some_and(|count| *count >= self.0.share)
            && !open.end_longest_idle(|of| of == Some(place))
        {
            return Err(Closed::Share);
        }
        if open.all.len() >= self.0.max && !open.end_longest_idle(|_| true) {
            return Err(Closed::Full);
        }
        let number = open.next;
        open.next += 1;
        let standing = Arc::new(Standing::default());
        open.all.insert(number, (place, Arc::clone(&standing)));
        if let Some(place) = place {
            *open.of.entry(place).or_default() += 1;
        }
        Ok(Door { doors: self.clone(), number, standing })
    }

    /// Ends the connection that is idle longest, for what the system has no more of.
    pub(crate) fn make_room(&self) {
        self.lock().end_longest_idle(|_| true);
    }

    /// Ends all connections on which nothing was asked that is not answered.
    pub(crate) fn end_unused(&self) {
        let open = self.lock();
        open.all.values().map(|(_, standing)| standing).filter(|standing| standing.is_unused()).for_each(|s| s.end());
    }

    /// Waits until a connection has ended.
    pub(crate) async fn freed(&self) {
        self.0.freed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Whether there was one to end. It counts no more from now on.
    fn end_longest_idle(&mut self, of: impl Fn(Option<IpAddr>) -> bool) -> bool {
        let idle = self
            .all
            .iter()
            .filter(|(_, (place, _))| of(*place))
            .filter_map(|(number, (_, standing))| Some((standing.idle()?, *number)))
            .min();
        let Some((_, number)) = idle else { return false };
        if let Some(standing) = self.remove(number) {
            standing.end();
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Standing>> {
        let (place, standing) = self.all.remove(&number)?;
        if let Some(place) = place
            && let Some(count) = self.of.get_mut(&place)
        {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&place);
            }
        }
        Some(standing)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.doors.lock().remove(self.number);
        self.doors.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Whether a connection was told to end.
    async fn ended(door: &Door) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, door.standing.ended()).await.is_ok()
    }

    #[tokio::test]
    async fn an_address_that_has_its_share_ends_its_own_longest_idle_connection() {
        let doors = Doors::new(10, 2, Vec::new());
        let other = doors.open(from(9)).expect("room");
        let first = doors.open(from(1)).expect("room");
        let second = doors.open(from(1)).expect("room");
        let third = doors.open(from(1)).expect("the first goes");
        assert!(ended(&first).await && !ended(&second).await && !ended(&other).await);
        second.standing.asked();
        third.standing.asked();
        assert_eq!(doors.open(from(1)).expect_err("both are busy"), Closed::Share);
        assert!(doors.open(from(2)).is_ok());
        drop(first);
        assert_eq!(doors.lock().of.get(&from(1)), Some(&2), "what was ended counts once");
    }

    #[tokio::test]
    async fn when_all_are_taken_the_longest_idle_goes_whosever_it_is() {
        let doors = Doors::new(2, 2, Vec::new());
        let first = doors.open(from(1)).expect("room");
        let second = doors.open(from(2)).expect("room");
        first.standing.asked();
        let third = doors.open(from(3)).expect("the second goes");
        assert!(ended(&second).await && !ended(&first).await);
        third.standing.asked();
        assert_eq!(doors.open(from(4)).expect_err("all are busy"), Closed::Full);
        drop(third);
        assert!(doors.open(from(4)).is_ok());
    }

    #[tokio::test]
    async fn an_answer_on_its_way_is_not_cut_off_for_a_new_connection() {
        let doors = Doors::new(1, 1, Vec::new());
        let door = doors.open(from(1)).expect("room");
        door.standing.asked();
        door.standing.let_in();
        door.standing.answered();
        door.standing.stalled();
        assert_eq!(doors.open(from(2)).expect_err("it is not idle"), Closed::Full);
        assert!(!ended(&door).await);
    }

    #[tokio::test]
    async fn a_strangers_answer_keeps_no_place_while_it_waits() {
        let doors = Doors::new(1, 1, Vec::new());
        let door = doors.open(from(1)).expect("room");
        door.standing.asked();
        door.standing.answered();
        assert_eq!(doors.open(from(2)).expect_err("it is being sent"), Closed::Full);
        door.standing.stalled();
        assert!(doors.open(from(2)).is_ok());
        assert!(ended(&door).await);
    }

    #[test]
    fn a_network_is_one_caller_and_a_named_proxy_is_many() {
        let proxies = vec![Network::try_from("10.0.0.0/8".to_owned()).expect("a network")];
        let doors = Doors::new(100, 1, proxies);
        let busy = |address: &str| {
            let door = doors.open(address.parse().expect("an address"));
            door.inspect(|door| door.standing.asked())
        };
        let held =
            [busy("2001:db8::1").expect("room"), busy("10.0.0.1").expect("room"), busy("10.0.0.1").expect("room")];
        assert_eq!(busy("2001:db8::ffff:2").expect_err("the same network"), Closed::Share);
        assert!(busy("2001:db8:0:1::1").is_ok());
        assert!(busy("::ffff:10.0.0.1").is_ok());
        drop(held);
        assert!(doors.lock().all.is_empty() && doors.lock().of.is_empty());
    }
}
