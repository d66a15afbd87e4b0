//! Analyses in this process, with the time of each stage.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use face_analysis::{FaceAnalyzer, Wanted};

use super::super::CommandError;
use super::BenchArgs;
use super::figures::{Figures, Stage, quantile, sorted, summary};
use super::process::{SELF, peak_memory_mb, process_cpu};

pub(super) fn in_process(
    args: &BenchArgs,
    analyzer: &FaceAnalyzer,
    name: &str,
    bytes: &[u8],
) -> Result<Figures, CommandError> {
    let first = analyzer.analyze(bytes, Wanted::default())?;
    let stages: Mutex<BTreeMap<&'static str, Vec<f64>>> = Mutex::default();
    let networks: Mutex<Vec<f64>> = Mutex::default();
    let cpu = process_cpu(SELF);
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(args.seconds);
    let times = std::thread::scope(|scope| -> Result<Vec<f64>, CommandError> {
        let callers: Vec<_> = (0..args.in_flight)
            .map(|_| {
                scope.spawn(|| -> Result<Vec<f64>, CommandError> {
                    let mut times = Vec::new();
                    // At least once: of nothing there is no median.
                    loop {
                        let begin = Instant::now();
                        let analysis = analyzer.analyze(bytes, Wanted::default())?;
                        times.push(begin.elapsed().as_secs_f64() * 1e3);
                        let inference = analysis.inference.as_secs_f64() * 1e3;
                        networks.lock().unwrap_or_else(PoisonError::into_inner).push(inference);
                        let mut stages = stages.lock().unwrap_or_else(PoisonError::into_inner);
                        for stage in &analysis.timings {
                            stages.entry(stage.stage).or_default().push(stage.time.as_secs_f64() * 1e3);
                        }
                        drop(stages);
                        if Instant::now() >= end {
                            return Ok(times);
                        }
                    }
                })
            })
            .collect();
        let mut all = Vec::new();
        for caller in callers {
            all.extend(caller.join().map_err(|_| CommandError::new("an analysis panicked"))??);
        }
        Ok(all)
    })?;
    let wall = begin.elapsed();
    let cpu = cpu.zip(process_cpu(SELF)).map(|(before, after)| after.saturating_sub(before));
    let mut figures = summary(name, face_service::contract::outcome(&first), times, wall, cpu, peak_memory_mb(SELF));
    let networks = sorted(networks.into_inner().unwrap_or_else(PoisonError::into_inner));
    figures.networks_ms = Some(quantile(&networks, 0.5));
    let medians: Vec<(String, f64)> = stages
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .map(|(stage, times)| (stage.to_owned(), quantile(&sorted(times), 0.5)))
        .collect();
    let whole: f64 = medians.iter().map(|(_, median)| median).sum();
    figures.stages =
        medians.into_iter().map(|(name, median_ms)| (name, Stage { median_ms, share: median_ms / whole })).collect();
    Ok(figures)
}
