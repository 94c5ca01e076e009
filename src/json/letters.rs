//! What all passes over JSON look for among its bytes.

/// The byte at this place; zero, which is none of JSON outside of texts, behind the end.
#[inline]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The first place from `at` on that is no blank.
#[inline]
pub(super) fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(byte(bytes, at), b' ' | b'\n' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// The first place from `at` on with a quote, a backslash or a control character, which no text may have in it; the end where
/// there is none.
///
/// Eight bytes at a time: where as much is taken from each byte as the least one has that is not looked for, those that are
/// lend from the byte above, and their highest bit is set (Mycroft's trick). What the byte above shows then need not be so,
/// but the lowest hit is a true one, and only that is asked for.
#[inline]
pub(super) fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        let quotes = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let slashes = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        let controls = word.wrapping_sub(ONES * 0x20);
        let found = (quotes | slashes | controls) & !word & HIGHS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while !matches!(bytes.get(at), None | Some(b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_special_is_found_wherever_it_is(
            mut bytes in proptest::collection::vec(0x20_u8..=0xff, 0..60),
            specials in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(b'"'), Just(b'\\'), 0_u8..0x20]), 0..4),
        ) {
            for (place, special) in specials.iter().take(4 * bytes.len()) {
                let place = place.index(bytes.len());
                bytes[place] = *special;
            }
            for at in 0..=bytes.len() {
                let found = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
                prop_assert_eq!(special(&bytes, at), found.map_or(bytes.len(), |found| at + found));
            }
        }
    }
}
