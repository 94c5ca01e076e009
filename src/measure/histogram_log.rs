//! An interval log in the format of HdrHistogram, version 1.2: what each operation's calls took, interval by interval,
//! for other programs to read.
//!
//! Each line has a tag (the operation and which time it is), the interval's beginning and length in seconds, its longest
//! time in milliseconds, and a compressed histogram of nanoseconds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use super::histogram::{Histogram, Precision};
use super::summary::Summary;
use crate::time::Moment;

/// Which time a histogram is of, as the end of its tag.
const TIMES: [&str; 2] = ["response_time", "service_time"];
/// No tag's name is longer.
const LONGEST_NAME: usize = 100;

/// What an operation's calls took so far: response times and service times of complete replies, warm-up included.
type Taken = BTreeMap<u16, [Histogram; 2]>;

/// Writes what was counted between one interval's end and the next.
#[derive(Debug)]
pub struct IntervalLog {
    /// By operation: what its tags begin with.
    names: Vec<String>,
    /// What is in the log, and up to when; nothing before its header is.
    written: Option<(Taken, Moment)>,
    /// What will be, once the last text is.
    offered: Option<(Taken, Moment)>,
}

impl IntervalLog {
    /// A log of these operations, in the plan's order.
    pub fn new(operations: &[String]) -> Self {
        let mut names: Vec<String> = Vec::new();
        for operation in operations {
            let plain =
                |letter: char| if letter.is_ascii_alphanumeric() || "_-.".contains(letter) { letter } else { '_' };
            let name: String = operation.chars().take(LONGEST_NAME).map(plain).collect();
            let taken = names.contains(&name) || name.is_empty();
            names.push(if taken { format!("{name}-{}", names.len() + 1) } else { name });
        }
        Self { names, written: None, offered: None }
    }

    /// The interval from what was written last until `now`, as lines to be appended; the first with the header, for which
    /// `begun` says which program this is and when the run began, in milliseconds since 1970. Until
    /// [`IntervalLog::was_written`] is called, the next interval holds the same and more.
    pub fn interval(&mut self, summary: &Summary, now: Moment, begun: impl FnOnce() -> (String, u64)) -> String {
        let nothing = (Taken::new(), Moment::ZERO);
        let (before, since) = self.written.as_ref().unwrap_or(&nothing);
        let mut text = if self.written.is_some() { String::new() } else { header(begun()) };
        let taken = taken(summary);
        let mut serializer = V2DeflateSerializer::new();
        for (operation, times) in &taken {
            let name = self.names.get(usize::from(*operation)).map_or("", String::as_str);
            for (place, time) in times.iter().enumerate() {
                let Some(interval) = time.beyond(before.get(operation).map(|before| &before[place])) else { continue };
                let mut bytes = Vec::new();
                // Only memory is written to, and the ranges are those that the format knows.
                if serializer.serialize(&interval, &mut bytes).is_ok() {
                    let (start, length) = (since.as_secs_f64(), now.since(*since).as_secs_f64());
                    let longest = Duration::from_nanos(interval.max()).as_secs_f64() * 1e3;
                    let (time, bytes) = (TIMES[place], BASE64.encode(&bytes));
                    // Writing to a String cannot fail.
                    let _ = writeln!(text, "Tag={name}:{time},{start:.3},{length:.3},{longest:.3},{bytes}");
                }
            }
        }
        self.offered = Some((taken, now));
        text
    }

    /// What was given last is in the log.
    pub fn was_written(&mut self) {
        self.written = self.offered.take().or_else(|| self.written.take());
    }
}

fn header((program, unix_ms): (String, u64)) -> String {
    let (seconds, millis) = (unix_ms / 1000, unix_ms % 1000);
    format!(
        "#[Histogram log format version 1.2]\n#[Written by {program}; histograms hold nanoseconds]\n\
         #[StartTime: {seconds}.{millis:03} (seconds since epoch)]\n#[BaseTime: {seconds}.{millis:03} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )
}

fn taken(summary: &Summary) -> Taken {
    let mut taken = Taken::new();
    for series in summary.series() {
        let nothing = || [Histogram::new(Precision::Fine), Histogram::new(Precision::Fine)];
        let [response, service] = taken.entry(series.operation).or_insert_with(nothing);
        for tally in [&series.warmup, &series.measure] {
            response.merge(&tally.response_time);
            service.merge(&tally.service_time);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram as Read;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::super::{Fate, Recorder, Sample, Shape};
    use super::*;
    use crate::outcome::Outcome;

    const MS: u64 = 1_000_000;

    /// Adds calls of an operation that took so many milliseconds, sent one after they were due.
    fn add(summary: &mut Summary, operation: u16, times: &[u64]) {
        let mut recorder = Recorder::new(&Shape { flows: 1, operations: 3, ..Shape::default() }, Moment::ZERO);
        for ms in times {
            let (intended, sent) = (Moment::from_nanos(MS), Moment::from_nanos(2 * MS));
            let done = Moment::from_nanos((1 + ms) * MS);
            let fate = Fate::Answered { sent: Some(sent), first_byte: None, done, outcome: Outcome::Ok };
            let sample =
                Sample { flow: 0, operation, sequence: 0, substituted: false, intended, picked_up: intended, fate };
            recorder.record(&sample, None);
        }
        summary.absorb(&recorder);
    }

    /// Tag, begin and length in milliseconds, count and largest time in milliseconds of each interval.
    fn read(text: &str) -> Vec<(String, u128, u128, u64, u64)> {
        let entries = IntervalLogIterator::new(text.as_bytes()).map(|entry| entry.expect("a line of the format"));
        let intervals = entries.filter_map(|entry| match entry {
            LogEntry::Interval(interval) => {
                let bytes = BASE64.decode(interval.encoded_histogram()).unwrap();
                let histogram: Read<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                let tag = interval.tag().unwrap().as_str().to_owned();
                let (begin, length) = (interval.start_timestamp().as_millis(), interval.duration().as_millis());
                Some((tag, begin, length, histogram.len(), histogram.max() / MS))
            }
            LogEntry::StartTime(start) | LogEntry::BaseTime(start) => {
                assert_eq!(start.as_millis(), 1_795_366_260_042);
                None
            }
        });
        intervals.collect()
    }

    fn log() -> IntervalLog {
        IntervalLog::new(&["create_payment".to_owned(), "pay, now".to_owned(), "pay, now".to_owned()])
    }

    fn begun() -> (String, u64) {
        ("mcpace 0.1.0".to_owned(), 1_795_366_260_042)
    }

    #[test]
    fn each_interval_holds_what_was_counted_in_it_and_other_programs_read_it() {
        let (mut log, mut summary) = (log(), Summary::default());
        add(&mut summary, 0, &[5, 7, 70]);
        let mut text = log.interval(&summary, Moment::from_nanos(1000 * MS), begun);
        log.was_written();
        add(&mut summary, 0, &[9]);
        add(&mut summary, 2, &[3, 4]);
        text += &log.interval(&summary, Moment::from_nanos(2500 * MS), begun);
        log.was_written();
        // Nothing new is no line.
        text += &log.interval(&summary, Moment::from_nanos(3000 * MS), begun);
        assert!(text.starts_with("#[Histogram log format version 1.2]\n"), "{text}");
        let line = |tag: &str, begin, length, count, max| (tag.to_owned(), begin, length, count, max);
        assert_eq!(
            read(&text),
            [
                line("create_payment:response_time", 0, 1000, 3, 70),
                line("create_payment:service_time", 0, 1000, 3, 69),
                line("create_payment:response_time", 1000, 1500, 1, 9),
                line("create_payment:service_time", 1000, 1500, 1, 8),
                line("pay__now-3:response_time", 1000, 1500, 2, 4),
                line("pay__now-3:service_time", 1000, 1500, 2, 3),
            ]
        );
    }

    #[test]
    fn what_was_not_written_is_in_the_next_interval() {
        let (mut log, mut summary) = (log(), Summary::default());
        add(&mut summary, 0, &[5]);
        let lost = log.interval(&summary, Moment::from_nanos(1000 * MS), begun);
        add(&mut summary, 0, &[6]);
        let text = log.interval(&summary, Moment::from_nanos(2000 * MS), begun);
        assert!(lost.starts_with('#') && text.starts_with('#'));
        assert_eq!(read(&text)[0], ("create_payment:response_time".to_owned(), 0, 2000, 2, 6));
    }
}
