//! Counters, gauges and histograms that cost an atomic addition, and their Prometheus text.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::Duration;

mod striped;

use striped::{Lengths, Level, Sum};

/// The media type of the text form.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What every metric's name begins with.
pub const NAME_PREFIX: &str = "taraf_";

/// Most label sets of one metric; what goes beyond is counted under [`OTHER`].
pub const SERIES_MAX: usize = 2_000;

/// The label value that stands for all sets beyond [`SERIES_MAX`].
pub const OTHER: &str = "other";

/// Upper bounds of latency histograms in seconds: 0.5 ms to 30 s.
pub const LATENCY_BUCKETS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

static BOUNDS_NS: LazyLock<[u64; LATENCY_BUCKETS.len()]> = LazyLock::new(|| {
    LATENCY_BUCKETS.map(|bound| {
        let bound = Duration::try_from_secs_f64(bound).unwrap_or(Duration::MAX);
        u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)
    })
});

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<Sum>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds that many.
    pub fn add(&self, count: u64) {
        self.0.add(count);
    }

    /// What was counted.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A number that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<Level>);

impl Gauge {
    /// Adds, or takes away when negative.
    pub fn add(&self, difference: i64) {
        self.0.add(difference);
    }

    /// Replaces the number. Those who set a number are one, and nobody adds to it.
    pub fn set(&self, value: i64) {
        self.0.add(value - self.0.get());
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.get()
    }
}

/// How often lengths of time fell below the bounds of [`LATENCY_BUCKETS`].
#[derive(Clone, Debug, Default)]
pub struct Histogram(Arc<Lengths>);

impl Histogram {
    /// Counts one length of time.
    pub fn observe(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|&bound| bound < nanos);
        self.0.add(bucket, nanos);
    }

    /// How many lengths were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.counts().iter().sum()
    }

    /// The least bound below which the given share (0 to 1) of all lengths lies; `None` before the
    /// first, and for lengths above all bounds.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts needs no more than 52 bits"
    )]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.count();
        let rank = (share.clamp(0.0, 1.0) * total as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        for (bound, count) in LATENCY_BUCKETS.iter().zip(self.0.counts()) {
            below += count;
            if below >= rank {
                return Some(*bound);
            }
        }
        None
    }
}

/// What a family's series are made of.
trait Series: Clone + Default + Send + Sync + 'static {
    const TYPE: &'static str;
    fn write(&self, out: &mut String, name: &str, labels: &str);
}

/// Prometheus writes label pairs comma-separated; `le` comes last.
fn braces(labels: &str) -> String {
    if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    }
}

macro_rules! write_text {
    ($out:expr, $($arguments:tt)*) => {
        writeln!($out, $($arguments)*).expect("a string takes all that is written")
    };
}

impl Series for Counter {
    const TYPE: &'static str = "counter";

    fn write(&self, out: &mut String, name: &str, labels: &str) {
        write_text!(out, "{name}{} {}", braces(labels), self.get());
    }
}

impl Series for Gauge {
    const TYPE: &'static str = "gauge";

    fn write(&self, out: &mut String, name: &str, labels: &str) {
        write_text!(out, "{name}{} {}", braces(labels), self.get());
    }
}

impl Series for Histogram {
    const TYPE: &'static str = "histogram";

    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        let bounds = LATENCY_BUCKETS.iter().map(f64::to_string);
        let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
        for (bound, count) in bounds.zip(self.0.counts()) {
            below += count;
            write_text!(
                out,
                "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}"
            );
        }
        let sum = self.0.sum().as_secs_f64();
        write_text!(out, "{name}_sum{} {sum}", braces(labels));
        write_text!(out, "{name}_count{} {below}", braces(labels));
    }
}

/// One metric with label values chosen as they appear.
///
/// Invariant: it never holds more than [`SERIES_MAX`] sets and the one of [`OTHER`], whatever
/// outsiders send, because a set is added under the lock that counts them.
#[derive(Clone, Debug)]
pub struct Family<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    labels: &'static [&'static str],
    series: RwLock<Table<T>>,
    hasher: RandomState,
}

/// A series and its label values.
type Labelled<T> = (Box<[Box<str>]>, T);

/// Series by the hash of their label values, so that a look-up needs no copy of them.
#[derive(Debug)]
struct Table<T> {
    by_hash: HashMap<u64, Vec<Labelled<T>>>,
    count: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            by_hash: HashMap::new(),
            count: 0,
        }
    }
}

impl<T> Table<T> {
    fn find(&self, hash: u64, values: &[&str]) -> Option<&T> {
        let same = self.by_hash.get(&hash)?;
        let is_same =
            |known: &[Box<str>]| known.iter().map(AsRef::as_ref).eq(values.iter().copied());
        same.iter()
            .find(|(known, _)| is_same(known))
            .map(|(_, series)| series)
    }

    fn iter(&self) -> impl Iterator<Item = &Labelled<T>> {
        self.by_hash.values().flatten()
    }
}

impl<T: Clone + Default> Family<T> {
    /// The series of these label values, in the order of the label names. Keep it where it is used
    /// often, or use [`Family::update`].
    ///
    /// # Panics
    /// When the number of values is not that of the labels: a slip in the code.
    #[must_use]
    pub fn with(&self, values: &[&str]) -> T {
        let mut found = None;
        self.update(values, |series| found = Some(series.clone()));
        found.expect("the series is handed over in any case")
    }

    /// Hands the series of these label values over, for one addition: a look-up without a copy.
    ///
    /// # Panics
    /// When the number of values is not that of the labels: a slip in the code.
    pub fn update(&self, values: &[&str], act: impl FnOnce(&T)) {
        assert_eq!(
            values.len(),
            self.0.labels.len(),
            "one value for each label"
        );
        let hash = self.0.hasher.hash_one(values);
        let table = self.0.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = table.find(hash, values) {
            return act(series);
        }
        drop(table);
        act(&self.add(hash, values));
    }

    fn add(&self, hash: u64, values: &[&str]) -> T {
        let mut table = self
            .0
            .series
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = table.find(hash, values) {
            return series.clone();
        }
        if table.count >= SERIES_MAX {
            let others = vec![OTHER; values.len()];
            let hash = self.0.hasher.hash_one(others.as_slice());
            return match table.find(hash, &others) {
                Some(series) => series.clone(),
                None => self.insert(&mut table, hash, &others),
            };
        }
        self.insert(&mut table, hash, values)
    }

    fn insert(&self, table: &mut Table<T>, hash: u64, values: &[&str]) -> T {
        let series = T::default();
        let values = values.iter().map(|&value| value.into()).collect();
        let same = table.by_hash.entry(hash).or_default();
        same.push((values, series.clone()));
        table.count += 1;
        series
    }
}

trait Metric: Send + Sync {
    fn write(&self, out: &mut String, name: &str, help: &str);
}

impl<T: Series> Metric for Family<T> {
    fn write(&self, out: &mut String, name: &str, help: &str) {
        head(out, name, help, T::TYPE);
        let series = self.0.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<_> = series.iter().collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (values, series) in sorted {
            let values = values.iter().map(AsRef::as_ref);
            series.write(out, name, &pairs(self.0.labels, values));
        }
    }
}

fn head(out: &mut String, name: &str, help: &str, type_: &str) {
    write_text!(
        out,
        "# HELP {name} {}",
        help.replace('\\', "\\\\").replace('\n', "\\n")
    );
    write_text!(out, "# TYPE {name} {type_}");
}

fn pairs<'a>(labels: &[&str], values: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (label, value) in labels.iter().zip(values) {
        if !text.is_empty() {
            text.push(',');
        }
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        write!(text, "{label}=\"{value}\"").expect("a string takes all that is written");
    }
    text
}

/// A gauge or counter that is asked for its numbers when the text is made.
struct Asked<F> {
    type_: &'static str,
    labels: &'static [&'static str],
    ask: F,
}

impl<F: Fn() -> Vec<(Vec<String>, i64)> + Send + Sync> Metric for Asked<F> {
    fn write(&self, out: &mut String, name: &str, help: &str) {
        head(out, name, help, self.type_);
        for (values, number) in (self.ask)().into_iter().take(SERIES_MAX) {
            let labels = pairs(self.labels, values.iter().map(String::as_str));
            write_text!(out, "{name}{} {number}", braces(&labels));
        }
    }
}

/// The metrics of a part. Cheap to clone; clones share the metrics.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<&'static str, Entry>>>);

struct Entry {
    help: &'static str,
    metric: Arc<dyn Metric>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries().keys()).finish()
    }
}

impl Registry {
    /// A registry without metrics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter without labels.
    #[must_use]
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.counters(name, help, &[]).with(&[])
    }

    /// A gauge without labels.
    #[must_use]
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.gauges(name, help, &[]).with(&[])
    }

    /// A latency histogram without labels.
    #[must_use]
    pub fn histogram(&self, name: &'static str, help: &'static str) -> Histogram {
        self.histograms(name, help, &[]).with(&[])
    }

    /// Counters told apart by labels.
    #[must_use]
    pub fn counters(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family<Counter> {
        self.family(name, help, labels)
    }

    /// Gauges told apart by labels.
    #[must_use]
    pub fn gauges(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family<Gauge> {
        self.family(name, help, labels)
    }

    /// Latency histograms told apart by labels, with [`LATENCY_BUCKETS`].
    #[must_use]
    pub fn histograms(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family<Histogram> {
        self.family(name, help, labels)
    }

    /// A gauge whose series are asked for when the text is made: label values and number.
    pub fn asked(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        ask: impl Fn() -> Vec<(Vec<String>, i64)> + Send + Sync + 'static,
    ) {
        self.enter_asked(Gauge::TYPE, (name, help, labels), ask);
    }

    /// The same for a counter that another part keeps.
    pub fn counted(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        ask: impl Fn() -> Vec<(Vec<String>, i64)> + Send + Sync + 'static,
    ) {
        self.enter_asked(Counter::TYPE, (name, help, labels), ask);
    }

    fn enter_asked(
        &self,
        type_: &'static str,
        (name, help, labels): (&'static str, &'static str, &'static [&'static str]),
        ask: impl Fn() -> Vec<(Vec<String>, i64)> + Send + Sync + 'static,
    ) {
        let asked = Asked { type_, labels, ask };
        self.enter(name, help, Arc::new(asked));
    }

    /// All metrics as Prometheus text, sorted by name.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // The entries are copied so that a gauge that is asked may use the registry.
        let entries: Vec<_> = self
            .entries()
            .iter()
            .map(|(name, entry)| (*name, entry.help, Arc::clone(&entry.metric)))
            .collect();
        for (name, help, metric) in entries {
            metric.write(&mut out, name, help);
        }
        out
    }

    fn family<T: Series>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family<T> {
        let family = Family(Arc::new(Inner {
            labels,
            series: RwLock::default(),
            hasher: RandomState::new(),
        }));
        self.enter(name, help, Arc::new(family.clone()));
        family
    }

    fn enter(&self, name: &'static str, help: &'static str, metric: Arc<dyn Metric>) {
        debug_assert!(name.starts_with(NAME_PREFIX), "{name} lacks the prefix");
        let before = self.entries().insert(name, Entry { help, metric });
        debug_assert!(before.is_none(), "{name} is registered twice");
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_help_type_and_escaped_labels() {
        let registry = Registry::new();
        let calls = registry.counters("taraf_calls_total", "Calls.", &["path"]);
        calls.with(&["/a\"b\\"]).add(3);
        registry.gauge("taraf_level", "Level.").add(-2);
        registry.asked("taraf_asked", "Asked.", &["of"], || {
            vec![(vec!["x".to_owned()], 7)]
        });
        assert_eq!(
            registry.text(),
            "# HELP taraf_asked Asked.\n# TYPE taraf_asked gauge\ntaraf_asked{of=\"x\"} 7\n\
             # HELP taraf_calls_total Calls.\n# TYPE taraf_calls_total counter\n\
             taraf_calls_total{path=\"/a\\\"b\\\\\"} 3\n\
             # HELP taraf_level Level.\n# TYPE taraf_level gauge\ntaraf_level -2\n"
        );
    }

    #[test]
    fn a_histogram_counts_what_lies_below_each_bound() {
        let registry = Registry::new();
        let times = registry.histogram("taraf_seconds", "Time.");
        for millis in [1, 3, 3, 60_000] {
            times.observe(Duration::from_millis(millis));
        }
        let text = registry.text();
        for line in [
            "taraf_seconds_bucket{le=\"0.001\"} 1",
            "taraf_seconds_bucket{le=\"0.005\"} 3",
            "taraf_seconds_bucket{le=\"30\"} 3",
            "taraf_seconds_bucket{le=\"+Inf\"} 4",
            "taraf_seconds_sum 60.007",
            "taraf_seconds_count 4",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert_eq!(times.quantile(0.5), Some(0.005));
        assert_eq!(times.quantile(1.0), None);
    }

    #[test]
    fn label_sets_are_bounded() {
        let registry = Registry::new();
        let family = registry.counters("taraf_x_total", "X.", &["of"]);
        for n in 0..SERIES_MAX + 10 {
            family.with(&[&n.to_string()]).increment();
        }
        assert_eq!(family.with(&["yet another"]).get(), 10);
        assert!(registry.text().contains("of=\"other\"} 10"));
    }
}
