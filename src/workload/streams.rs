//! The random words that belong to each arrival: a function of (seed, flow, sequence).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::arrival::Arrival;

/// Random words that belong to each arrival. A call that needs more reads on into its neighbour's, which harms nobody.
const WORDS_PER_ARRIVAL: u128 = 1024;
/// So many generators wait where the choice of their arrival left them, until its call is made: at once, or when it has room. Placing
/// one means to compute its words anew.
const PLACED: u64 = 16;

/// The generators of one workload.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    any: ChaCha8Rng,
    placed: Vec<Placed>,
}

/// A generator that has chosen for an arrival, and for which.
#[derive(Clone, Debug)]
struct Placed {
    random: ChaCha8Rng,
    arrival: Option<(u16, u64)>,
}

impl Streams {
    pub(super) fn new(seed: u64) -> Self {
        let any = ChaCha8Rng::seed_from_u64(seed);
        let placed = (0..PLACED).map(|_| Placed { random: any.clone(), arrival: None }).collect();
        Self { any, placed }
    }

    /// What the first words of `arrival` choose.
    pub(super) fn choose<T>(&mut self, arrival: &Arrival, choice: impl FnOnce(&mut ChaCha8Rng) -> T) -> T {
        let placed = self.place(arrival);
        placed.arrival = Some((arrival.flow.0, arrival.sequence));
        choice(begin(&mut placed.random, arrival))
    }

    /// The words of `arrival` after those of its choice.
    pub(super) fn chosen<T>(
        &mut self,
        arrival: &Arrival,
        choice: impl FnOnce(&mut ChaCha8Rng) -> T,
    ) -> &mut ChaCha8Rng {
        let placed = self.place(arrival);
        if placed.arrival.take() != Some((arrival.flow.0, arrival.sequence)) {
            choice(begin(&mut placed.random, arrival));
        }
        &mut placed.random
    }

    /// The words of a flow from this place on.
    pub(super) fn at(&mut self, flow: u16, place: u128) -> &mut ChaCha8Rng {
        put(&mut self.any, flow, place)
    }

    fn place(&mut self, arrival: &Arrival) -> &mut Placed {
        // Multiplicative hashing: a lane of many has every so many arrivals.
        let hash = arrival.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &mut self.placed[(hash >> 60) as usize]
    }
}

/// Places a generator where the words of `arrival` begin.
pub(super) fn begin<'a>(random: &'a mut ChaCha8Rng, arrival: &Arrival) -> &'a mut ChaCha8Rng {
    put(random, arrival.flow.0, u128::from(arrival.sequence) * WORDS_PER_ARRIVAL)
}

/// Places a generator at this word of a flow's.
fn put(random: &mut ChaCha8Rng, flow: u16, place: u128) -> &mut ChaCha8Rng {
    let stream = u64::from(flow);
    // Within a block another stream computes that anew, which the move then throws away.
    if random.get_stream() != stream {
        random.set_stream(stream);
    }
    random.set_word_pos(place);
    random
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::arrival::FlowId;
    use crate::time::Moment;

    fn arrival(flow: u16, sequence: u64) -> Arrival {
        Arrival { flow: FlowId(flow), sequence, intended: Moment::ZERO }
    }

    #[test]
    fn the_words_of_an_arrival_do_not_depend_on_who_came_between() {
        let word = |random: &mut ChaCha8Rng| random.random::<u64>();
        let alone = |arrival: &Arrival| {
            let mut streams = Streams::new(7);
            let first = streams.choose(arrival, word);
            (first, word(streams.chosen(arrival, word)))
        };
        let arrivals = [arrival(0, 3), arrival(1, 3), arrival(0, 3 + PLACED), arrival(0, 4)];
        let mut streams = Streams::new(7);
        let first = arrivals.each_ref().map(|arrival| streams.choose(arrival, word));
        let second = arrivals.each_ref().map(|arrival| word(streams.chosen(arrival, word)));
        for ((arrival, first), second) in arrivals.iter().zip(first).zip(second) {
            assert_eq!(alone(arrival), (first, second), "{arrival:?}");
        }
        assert_eq!(word(streams.chosen(&arrivals[3], word)), second[3], "a second call has the same words");
        assert_eq!(word(streams.at(1, 3 * WORDS_PER_ARRIVAL)), first[1]);
    }
}
