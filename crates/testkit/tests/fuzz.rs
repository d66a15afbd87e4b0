//! A short run of what the fuzzer does for hours, the same on every machine: the seeds as they are, then damaged.

use testkit::fuzz::{Mutations, TARGETS, seeds};

fn run(name: &str, executions: usize) {
    let target = TARGETS.iter().find(|target| target.name == name).expect(name);
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    let mut mutations = Mutations::default();
    for (_, bytes) in &seeds {
        (target.run)(bytes);
    }
    for round in 0..executions {
        (target.run)(&mutations.apply(seeds[round % seeds.len()].1.clone()));
    }
}

#[test]
fn damaged_pictures_give_errors_or_pixels() {
    run("decode", 20_000);
}

#[test]
fn damaged_requests_give_problems_or_fields() {
    run("request", 100_000);
}

#[test]
fn damaged_links_are_refused() {
    run("link", 20_000);
}

#[test]
fn damaged_weights_give_errors_or_networks() {
    run("weights", 20_000);
}

#[test]
fn damaged_faces_give_errors_or_answers_that_hold() {
    run("analyze", 140);
}
