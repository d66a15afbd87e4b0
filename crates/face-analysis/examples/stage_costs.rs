//! `cargo run --release -p face-analysis --example stage_costs`: fails when a stage has become more than
//! 20 % dearer than on record; with `-- --record` writes the record.
//!
//! A stage's cost is its fastest of many runs, in units of what all networks together take at their fastest in the same
//! minute: a slow or busy machine slows both. The stages take turns, so that a disturbance hits them alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use face_analysis::Settings;
use face_analysis::stages::{Stage, Stages};

const ROUNDS: usize = 60;
const DEARER: f64 = 1.2;
/// Below this share of the networks' time a difference is noise, and nothing that a request would feel.
const SLACK: f64 = 0.005;
/// A disturbance may outlast one attempt; a stage that became dearer is so in all of them.
const ATTEMPTS: usize = 3;

type Costs = BTreeMap<String, f64>;

fn main() -> ExitCode {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/costs.json");
    let picture = testkit::portrait_photo(1280, 720);
    let mut stages = Stages::prepare(&testkit::models(), Settings::default(), picture).expect("an accepted portrait");
    if std::env::args().any(|argument| argument == "--record") {
        let costs = measure(&mut stages);
        std::fs::write(&record, format!("{costs:#?}\n").replace(",\n}", "\n}")).expect("the record can be written");
        return ExitCode::SUCCESS;
    }
    let recorded: Costs =
        serde_json::from_slice(&std::fs::read(&record).expect("a record")).expect("the record is readable");
    for attempt in 1..=ATTEMPTS {
        eprintln!("attempt {attempt}: cost in units of all networks, of the record");
        let costs = measure(&mut stages);
        let mut dearer = 0;
        for (stage, cost) in &costs {
            let before = recorded.get(stage).copied().unwrap_or(0.0);
            let worse = *cost > before * DEARER + SLACK;
            dearer += usize::from(worse);
            eprintln!("  {stage:<11} {cost:6.3}  {:5.2}{}", cost / before, if worse { "  DEARER" } else { "" });
        }
        if dearer == 0 {
            return ExitCode::SUCCESS;
        }
    }
    eprintln!("a stage has become dearer: make it cheaper, or record the new cost and say why");
    ExitCode::FAILURE
}

fn measure(stages: &mut Stages) -> Costs {
    let mut fastest = [(Duration::MAX, Duration::MAX); Stage::ALL.len()];
    for _ in 0..ROUNDS {
        for (stage, (whole, networks)) in Stage::ALL.into_iter().zip(&mut fastest) {
            stages.inference();
            let begin = Instant::now();
            stages.run(stage).expect("the stage runs");
            *whole = begin.elapsed().min(*whole);
            *networks = stages.inference().min(*networks);
        }
    }
    let unit: Duration = fastest.iter().map(|(_, networks)| networks).sum();
    let cost = |(stage, (whole, _)): (Stage, (Duration, _))| {
        (format!("{stage:?}").to_lowercase(), whole.as_secs_f64() / unit.as_secs_f64())
    };
    Stage::ALL.into_iter().zip(fastest).map(cost).collect()
}
