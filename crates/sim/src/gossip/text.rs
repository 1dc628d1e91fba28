//! [pure] A report as one reads it.

use std::fmt;
use std::time::Duration;

use super::Report;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packets, bytes, streams) = self.packets;
        let seconds = self.simulated.as_secs_f64().max(1.0);
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let per = |count: u64| count as f64 / seconds / self.members.max(1) as f64;
        writeln!(
            f,
            "seed {}, {} members, {:.0} s simulated",
            self.seed, self.members, seconds
        )?;
        writeln!(f, "  all see all after the join    {}", shown(self.joined))?;
        writeln!(
            f,
            "  an event to the last          p50 {}, worst {}",
            shown(middle(&self.events)),
            shown(self.events.last().copied().unwrap_or_default())
        )?;
        writeln!(f, "  all see all after the faults  {}", shown(self.healed))?;
        let (first, last): (Vec<Duration>, Vec<Duration>) = self.verdicts.iter().copied().unzip();
        writeln!(
            f,
            "  a death to the first verdict  p50 {}; to the last p50 {}, worst {}",
            shown(middle(&first)),
            shown(middle(&last)),
            shown(last.iter().max().copied().unwrap_or_default())
        )?;
        writeln!(f, "  verdicts about the living     {}", self.false_failures)?;
        writeln!(
            f,
            "  each member each second       {:.1} packets, {:.0} bytes, {:.3} streams",
            per(packets),
            per(bytes),
            per(streams)
        )?;
        if let Some(foretold) = &self.foretold {
            writeln!(
                f,
                "  foretold: a rumour to all {} (Pittel); a death to its verdict {} = probe {} (SWIM) + failing {} + suspicion {} to {} (Lifeguard)",
                shown(foretold.rumour),
                shown(foretold.verdict()),
                shown(foretold.probe),
                shown(foretold.failed),
                shown(foretold.suspicion_min),
                shown(foretold.suspicion_max)
            )?;
        }
        match &self.failure {
            None => write!(f, "  all that must be true was true"),
            Some(why) => write!(f, "  FAILED: {why}"),
        }
    }
}

pub(super) fn shown(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// The middle one of what is sorted.
pub(super) fn middle(durations: &[Duration]) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
