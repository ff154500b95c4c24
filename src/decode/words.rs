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

/// The bytes of the number without sign and exponent that eight bytes begin with, if more than the
/// number is among them (RFC 8259, section 6).
#[inline]
pub(super) fn short_number(word: u64) -> Option<usize> {
    // Digits become 0 to 9. Where the first other byte is a point, nothing is carried out of it, and the
    // second mark is as right as the first.
    let digits = word ^ (u64::from(b'0') * EACH);
    let others = (digits.wrapping_add((0x80 - 10) * EACH) | digits) & HIGH;
    let place = |marks: u64| (marks.trailing_zeros() / 8) as usize;
    let byte = |place: usize| (word >> (8 * place)) as u8;
    let whole = place(others);
    let right = matches!((whole, word as u8), (1, _) | (2..WORD_BYTES, b'1'..=b'9'));
    let end = match right.then(|| byte(whole))? {
        b'.' => place(others & (others - 1)),
        _ => whole,
    };
    let ends = end < WORD_BYTES && end != whole + 1 && !matches!(byte(end), b'e' | b'E');
    ends.then_some(end)
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

    /// A whole number or one with a point, and something else behind it.
    fn number_by_bytes(bytes: &[u8; WORD_BYTES]) -> Option<usize> {
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(0);
        let end = match bytes.get(whole)? {
            b'.' => whole + 1 + digits(whole + 1),
            _ => whole,
        };
        let right = whole == 1 || (whole > 1 && bytes[0] != b'0');
        (right && end != whole + 1 && !b"eE".contains(bytes.get(end)?)).then_some(end)
    }

    #[test]
    fn short_numbers_are_told() {
        for (text, want) in [
            (b"24.5,\"pm", Some(4)),
            (b"78}     ", Some(2)),
            (b"0.125,.1", Some(5)),
            (b"01,     ", None),
            (b"1.,     ", None),
            (b".5,     ", None),
            (b"1e5,    ", None),
            (b"1.5E3,  ", None),
            (b"1234567.", None),
            (b"12345678", None),
            (b"1.5\xc3\xb1   ", Some(3)),
        ] {
            assert_eq!(short_number(u64::from_le_bytes(*text)), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_in_words_are_numbers_in_bytes(
            bytes in prop_oneof![prop::array::uniform8(prop::sample::select(&b"00123789..eE,}:/\x00\x80\xff"[..])), any::<[u8; 8]>()],
        ) {
            prop_assert_eq!(short_number(u64::from_le_bytes(bytes)), number_by_bytes(&bytes), "{:?}", bytes);
        }

        #[test]
        fn words_tell_what_bytes_tell(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(b' '..b'(', 0..40)],
            byte in prop_oneof![any::<u8>(), b' '..b'('],
        ) {
            agree(&bytes, byte)?;
        }
    }
}
