//! From a reading of the run to the values of each metric.

use std::time::Duration;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::definition::{Definition, Kind};
use super::metrics::METRICS;
use super::reading::{Counts, Identity, Reading, Times, labels};
use crate::measure::Level;

/// What a row of the table is read from.
pub(super) struct View<'a> {
    pub(super) identity: &'a Identity,
    flows: Vec<String>,
    operations: Vec<String>,
    pub(super) reading: &'a Reading,
}

impl<'a> View<'a> {
    fn new(identity: &'a Identity, reading: &'a Reading) -> Self {
        Self { identity, flows: labels(&identity.flows), operations: labels(&identity.operations), reading }
    }

    pub(super) fn flow(&self, flow: u16) -> String {
        self.flows.get(usize::from(flow)).cloned().unwrap_or_else(|| flow.to_string())
    }

    pub(super) fn operation(&self, operation: u16) -> String {
        self.operations.get(usize::from(operation)).cloned().unwrap_or_else(|| operation.to_string())
    }
}

/// The values of one metric.
pub(super) struct Points {
    kind: Kind,
    labels: &'static [&'static str],
    metrics: Vec<Metric>,
}

impl Points {
    pub(super) fn number(&mut self, labels: &[&str], value: f64) {
        let mut metric = self.metric(labels);
        if self.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// A number without labels, where it is known.
    pub(super) fn known(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.number(&[], value);
        }
    }

    /// A level of the moment, where it is known; one unit of it is worth `unit`.
    pub(super) fn level(&mut self, level: &Level, unit: f64) {
        self.known(level.mean().map(|mean| mean * unit));
    }

    pub(super) fn times(&mut self, labels: &[&str], bounds: &[Duration], times: &Times) {
        let mut metric = self.metric(labels);
        let mut histogram = Histogram::default();
        let mut cumulative = 0;
        let buckets = bounds.iter().zip(&times.buckets).map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        // The count is also what the bucket +Inf shows.
        histogram.set_sample_count(times.buckets.iter().sum());
        histogram.set_sample_sum(times.sum.as_secs_f64());
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    pub(super) fn per_series(&mut self, view: &View<'_>, count: fn(&Counts) -> u64) {
        for series in &view.reading.series {
            let (flow, operation) = (view.flow(series.flow), view.operation(series.operation));
            self.number(&[&flow, &operation, series.phase.name()], count(&series.counts) as f64);
        }
    }

    pub(super) fn times_per_series(&mut self, view: &View<'_>, bounds: &[Duration], times: fn(&Counts) -> &Times) {
        for series in &view.reading.series {
            let (flow, operation) = (view.flow(series.flow), view.operation(series.operation));
            self.times(&[&flow, &operation, series.phase.name()], bounds, times(&series.counts));
        }
    }

    pub(super) fn metric(&self, values: &[&str]) -> Metric {
        let pairs = self.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        Metric::from_label(pairs.collect())
    }
}

/// All values of one reading, metric by metric; metrics without a value are left out.
pub(super) fn families(identity: &Identity, reading: &Reading) -> Vec<MetricFamily> {
    let view = View::new(identity, reading);
    let family = |definition: &Definition| {
        let mut points = Points { kind: definition.kind, labels: definition.labels, metrics: Vec::new() };
        (definition.read)(&view, &mut points);
        let mut family = MetricFamily::default();
        family.set_name(definition.name.to_owned());
        family.set_help(definition.help.to_owned());
        family.set_field_type(match definition.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(points.metrics);
        family
    };
    METRICS.iter().map(family).filter(|family| !family.get_metric().is_empty()).collect()
}
