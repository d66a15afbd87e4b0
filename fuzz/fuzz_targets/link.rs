//! Any text as a link: everything that is judged before the network, which is not reached because no port is allowed.
#![no_main]

use std::cell::RefCell;

use facegate::server::link::{LinkFetcher, LinkSettings};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

thread_local! {
    static STATE: RefCell<(Runtime, LinkFetcher)> = RefCell::new((
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
        LinkFetcher::new(LinkSettings { ports: Vec::new(), ..LinkSettings::default() }),
    ));
}

fuzz_target!(|link: &str| {
    STATE.with_borrow(|(runtime, fetcher)| {
        let problem = runtime.block_on(fetcher.fetch(link, 1000)).expect_err("no port is allowed");
        assert_eq!(problem.status.as_u16(), 422);
        assert!(matches!(problem.code, "link_refused" | "link_malformed"), "{}", problem.code);
    });
});
