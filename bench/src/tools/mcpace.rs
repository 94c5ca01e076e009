//! mcpace itself. It tells more than any other, in the run that it saves.

use std::path::Path;

use mcpace::measure::{Quantile, Scope};
use mcpace::report::SavedRun;

use super::{Load, Own, Place, Said, Tool, split};

/// The file in the folder that it saves its run to.
pub(super) const RUN: &str = "run.json";
/// Objectives missed or not given, and a measurement that it doubts, leave a run to look at.
pub(super) const FINE: [i32; 4] = [0, 1, 3, 4];
/// More than it reaches on a core.
const TOO_MANY: u32 = 150_000;

pub(super) fn words(tool: Tool, load: &Load, place: &Place) -> Vec<String> {
    let pacing = match tool {
        Tool::Exact => "exact",
        Tool::Economical | Tool::OneLane | Tool::TwoLanes => "economical",
        _ => "auto",
    };
    let arrivals = if load.is_poisson { "poisson" } else { "constant" };
    let (rate, span) = (load.rate.unwrap_or(TOO_MANY), load.span.as_millis());
    let lanes = if tool == Tool::TwoLanes { 2 } else { 1 };
    let (operation, out) = (load.operation.unwrap_or(&place.operation), place.file(RUN));
    let mut words = split(&format!(
        "run --quiet --metrics off --mix {operation}=1 --arrivals {arrivals} --rate {rate} --duration {span}ms \
         --pacing {pacing} --lanes {lanes} --seed {}",
        load.seed
    ));
    words.extend(["--out".to_owned(), out]);
    if load.is_bound {
        words.extend(split(&format!("--concurrent {}", load.connections)));
    }
    if load.wire == super::Wire::Http2 {
        words.push("--http2".to_owned());
    }
    if load.wire.is_encrypted() {
        words.extend(["--ca-cert".to_owned(), place.authority.display().to_string()]);
    }
    words.push(place.url(load.wire));
    words
}

pub(super) fn said(file: &Path) -> Result<Said, String> {
    let text = std::fs::read(file).map_err(|why| format!("saved no run: {why}"))?;
    let run = SavedRun::from_json(&text).map_err(|why| format!("saved a run that cannot be read: {why}"))?;
    // What the next one is told by must be its own.
    std::fs::remove_file(file).map_err(|why| why.to_string())?;
    let tally = run.summary.tally(Scope::Total, None);
    let response = [0.95, 0.99, 0.999].map(|quantile| match tally.quantile(quantile) {
        Some(Quantile::Finite(time)) => Some(time.as_secs_f64() * 1e3),
        _ => None,
    });
    let lag = [0.5, 0.99]
        .map(|quantile| tally.pacing_lag.value_at_quantile(quantile).map_or(f64::NAN, |lag| lag.as_secs_f64() * 1e6));
    let judgement = run.judge(&[]).map_err(|why| why.to_string())?;
    let doubt = judgement.doubts.first().map(ToString::to_string);
    let own = Own { due: run.summary.due.unwrap_or_default(), lag, doubt };
    Ok(Said { calls: tally.answered(), failed: tally.bad(), response, own: Some(own) })
}
