//! W3C trace context: the ids by which a server's own trace of a call is found again.
//!
//! They are a function of the run and the arrival, so that nothing has to be drawn, kept or allocated to make them. All traces of a
//! run begin with the same sixteen digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of a trace, printed as 32 hexadecimal digits; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

/// What a call says of itself to whoever traces it: the trace, and its own span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    span: u64,
}

/// The traces of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traces {
    run: u64,
    salt: u64,
}

/// `00-` and the trace, `-` and the span, `-01`: sampled.
const HEADER: usize = 3 + 32 + 1 + 16 + 3;

impl Traces {
    /// Those of the run with this id.
    pub fn of_run(run_id: &str) -> Self {
        let folded = |start| run_id.bytes().fold(start, |word, byte| mixed(word ^ u64::from(byte)));
        Self { run: folded(0x7472_6163_6500) | 1, salt: folded(0x7370_616e_0000) }
    }

    /// That of an arrival: another for each of the run.
    pub const fn of(self, flow: u16, sequence: u64) -> TraceContext {
        // Mixing is a bijection, so that two arrivals cannot meet.
        let arrival = mixed(self.salt ^ ((flow as u64) << 48) ^ sequence);
        let span = mixed(arrival ^ self.run);
        let span = if span == 0 { 1 } else { span };
        TraceContext { trace: TraceId(((self.run as u128) << 64) | arrival as u128), span }
    }
}

impl TraceContext {
    /// The value of the header `traceparent`, version 00, with the flag that asks for a sample of it.
    pub fn header(self) -> [u8; HEADER] {
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-01";
        write_hex(&mut header[3..35], self.trace.0);
        write_hex(&mut header[36..52], u128::from(self.span));
        header
    }
}

/// Writes the last digits of `number`, as many as there is room for.
fn write_hex(room: &mut [u8], mut number: u128) {
    for digit in room.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Why a text is no id of a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the id of a trace: give 32 hexadecimal digits, not all of them zero")]
pub struct NoTraceId;

impl FromStr for TraceId {
    type Err = NoTraceId;

    fn from_str(text: &str) -> Result<Self, NoTraceId> {
        let digits = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|number| digits && *number != 0);
        number.map(Self).ok_or(NoTraceId)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A bijection of words in which each bit of the result depends on all of the word: the finalizer of `SplitMix64`.
pub const fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn text(header: &[u8]) -> &str {
        std::str::from_utf8(header).unwrap()
    }

    #[test]
    fn a_header_is_that_of_version_00_and_names_the_trace() {
        let context =
            TraceContext { trace: TraceId(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c), span: 0xb7ad_6b71_6920_3331 };
        // The example of the W3C's recommendation.
        assert_eq!(text(&context.header()), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(context.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        let short = TraceContext { trace: TraceId(1), span: 2 };
        assert_eq!(text(&short.header()), format!("00-{:032}-{:016}-01", 1, 2));
    }

    #[test]
    fn each_arrival_has_its_own_trace_and_span_and_another_run_has_others() {
        let (run, other) = (Traces::of_run("5f0c2a9e"), Traces::of_run("5f0c2a9f"));
        let (mut traces, mut spans) = (HashSet::new(), HashSet::new());
        for traces_of in [run, other] {
            for flow in [0, 1, u16::MAX] {
                for sequence in 0..1000 {
                    let context = traces_of.of(flow, sequence);
                    assert!(traces.insert(context.trace) && spans.insert(context.span) && context.span != 0);
                    assert_eq!(context, traces_of.of(flow, sequence));
                    assert_eq!(context.trace.0 >> 64, u128::from(traces_of.run));
                }
            }
        }
        assert_eq!((traces.len(), run.run == other.run), (6000, false));
    }

    #[test]
    fn ids_are_read_as_they_are_printed_and_what_is_none_is_refused() {
        let id = Traces::of_run("x").of(3, 4711).trace;
        assert_eq!(id.to_string().parse(), Ok(id));
        let zero = "0".repeat(32);
        for wrong in ["", "0af7", &zero, "+af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319cc"] {
            assert_eq!(wrong.parse::<TraceId>(), Err(NoTraceId), "{wrong}");
        }
    }
}
