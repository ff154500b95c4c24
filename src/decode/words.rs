//! Looking at eight bytes of a text at a time, as one number (SIMD within a register; see Warren,
//! "Hacker's Delight", 2nd edition, section 6-1).
//!
//! Marks stand in the highest bit of a byte. The lowest mark is right; above it there may be marks
//! that are none, because a subtraction borrows from the byte above.

/// Bytes of a word.
pub(super) const WORD_BYTES: usize = 8;
/// A one in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
const HIGH: u64 = 0x80 * EACH;

/// The eight bytes from `at`, in the order of memory.
#[inline]
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The place of the first of up to eight bytes that a string in JSON does not hold as it is: its
/// last quote, a backslash, a control character.
#[inline]
pub(super) fn first_end(word: u64) -> Option<usize> {
    // With one bit changed, the quote joins the control characters, and space leaves its place to it.
    let below = below(word ^ (0x02 * EACH), 0x21);
    let marks = (below | equal(word, b'\\')) & HIGH;
    (marks != 0).then(|| (marks.trailing_zeros() / 8) as usize)
}

/// Whether a byte is among these.
pub(super) fn contains(bytes: &[u8], byte: u8) -> bool {
    is_marked(bytes, !byte, |word| equal(word, byte))
}

/// Whether all of these are printable ASCII, the space included.
pub(super) fn is_printable_ascii(bytes: &[u8]) -> bool {
    !is_marked(bytes, b' ', |word| word | below(word, 0x20) | equal(word, 0x7f))
}

/// Whether a mark is in any word; the last one is filled up with a byte that is not marked.
#[inline]
fn is_marked(bytes: &[u8], unmarked: u8, marks: impl Fn(u64) -> u64) -> bool {
    let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
    let last = rest.iter().fold(u64::from(unmarked) * EACH, |word, byte| word << 8 | u64::from(*byte));
    words.iter().map(|word| u64::from_le_bytes(*word)).chain([last]).any(|word| marks(word) & HIGH != 0)
}

/// Marks bytes below `limit`, which is at most 0x80.
#[inline]
fn below(word: u64, limit: u64) -> u64 {
    word.wrapping_sub(limit * EACH) & !word
}

/// Marks bytes that are `byte`.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    let apart = word ^ (u64::from(byte) * EACH);
    apart.wrapping_sub(EACH) & !apart
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_end(byte: u8) -> bool {
        matches!(byte, b'"' | b'\\' | 0..=0x1f)
    }

    #[test]
    fn every_byte_is_told_in_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..WORD_BYTES {
                let mut bytes = *b"a zA~\xc3\xb1!";
                bytes[place] = byte;
                let found = first_end(u64::from_le_bytes(bytes));
                assert_eq!(found, is_end(byte).then_some(place), "{bytes:?}");
                assert!(contains(&bytes, byte) && contains(&bytes[place..], byte), "{bytes:?}");
                let plain = *b"a zA~x+!";
                assert!(is_printable_ascii(&plain));
                let mut bytes = plain;
                bytes[place] = byte;
                assert_eq!(is_printable_ascii(&bytes), matches!(byte, b' '..=b'~'), "{bytes:?}");
                assert_eq!(is_printable_ascii(&bytes[..=place]), matches!(byte, b' '..=b'~'), "{bytes:?}");
            }
        }
    }

    fn agree(bytes: &[u8], byte: u8) -> Result<(), TestCaseError> {
        prop_assert_eq!(contains(bytes, byte), bytes.contains(&byte));
        prop_assert_eq!(is_printable_ascii(bytes), bytes.iter().all(|byte| matches!(byte, b' '..=b'~')));
        if let Some(first) = word(bytes, 0) {
            prop_assert_eq!(first_end(first), bytes[..WORD_BYTES].iter().position(|byte| is_end(*byte)));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn words_tell_what_bytes_tell(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(b' '..b'(', 0..40)],
            byte in prop_oneof![any::<u8>(), b' '..b'('],
        ) {
            agree(&bytes, byte)?;
        }
    }
}
