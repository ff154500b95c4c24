//! A document's layout, learned from one message and expected of the next ones: devices of one kind
//! write the same members in the same order, so that only the values between them differ.
//!
//! A layout is the text between the values, and what becomes of each value. Where that text stands
//! again, with a number for each number and a string for each string, the document is as valid as
//! the first one was, and its members are the same: nothing else has to be looked at. Anything else
//! is left to [`super::scan`]. What was learned decides how fast a document is read, never what is
//! found in it.

use super::scan::{Kind, Scan};
use super::trie::{Fields, Slot};
use super::words::{WORD_BYTES, word};

/// The longest document that is learned, in bytes.
pub(super) const BYTES_MAX: usize = 4_096;
/// The most values of a layout.
pub(super) const VALUES_MAX: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Layout {
    values: Vec<Expected>,
    end: Literal,
}

/// The text before a value, and the value.
#[derive(Debug)]
struct Expected {
    before: Literal,
    kind: Kind,
    slot: Option<Slot>,
}

/// A text that is compared a word at a time.
#[derive(Debug)]
struct Literal {
    text: Box<str>,
    first: Part,
    /// Of a text longer than a word.
    more: Box<[Part]>,
}

/// A word of a literal, at its place; of a literal shorter than a word only its bytes count.
#[derive(Clone, Copy, Debug)]
struct Part {
    at: usize,
    word: u64,
    mask: u64,
}

/// A value that was met while learning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// Where it begins.
    pub(super) from: usize,
    /// Where it ends.
    pub(super) to: usize,
    /// What it is.
    pub(super) kind: Kind,
    /// What it is wanted for.
    pub(super) slot: Option<Slot>,
}

impl Layout {
    /// The layout of a document with these numbers and strings, in their order: of two for one slot
    /// the last counts here, too. `None` when they are not of this document.
    pub(super) fn new(text: &str, met: &[Met]) -> Option<Self> {
        let mut values = Vec::with_capacity(met.len());
        let mut at = 0;
        for value in met {
            let before = Literal::new(text.get(at..value.from)?);
            values.push(Expected { before, kind: value.kind, slot: value.slot });
            at = value.to;
        }
        Some(Self { values, end: Literal::new(text.get(at..)?) })
    }

    /// Reads a document of this layout into `fields`; `None` when it is another's, whatever is in
    /// `fields` then.
    pub(super) fn read<'a>(&self, text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
        let mut scan = Scan::new(text);
        for expected in &self.values {
            expected.before.follows(&mut scan)?;
            let from = scan.at;
            scan.value_of(expected.kind)?;
            if let Some(slot) = expected.slot {
                fields.set_some(slot, text.get(from..scan.at)?);
            }
        }
        self.end.follows(&mut scan)?;
        (scan.at == text.len()).then_some(())
    }
}

impl Literal {
    fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let last = bytes.len().saturating_sub(WORD_BYTES);
        let mask = if bytes.len() < WORD_BYTES { (1 << (8 * bytes.len())) - 1 } else { u64::MAX };
        let part = |at: usize| {
            let own = bytes.get(at..).unwrap_or_default().iter().take(WORD_BYTES).rev();
            Part { at, word: own.fold(0, |word, byte| word << 8 | u64::from(*byte)), mask }
        };
        let more = (WORD_BYTES..last).step_by(WORD_BYTES).chain((last > 0).then_some(last));
        Self { text: text.into(), first: part(0), more: more.map(part).collect() }
    }

    /// Goes behind this text, if it is what follows.
    #[inline]
    fn follows(&self, scan: &mut Scan<'_>) -> Option<()> {
        let rest = scan.text.as_bytes().get(scan.at..)?;
        let mut same = self.first.is_in(rest, &self.text);
        for part in &self.more {
            same &= part.is_in(rest, &self.text);
        }
        scan.at += self.text.len();
        same.then_some(())
    }
}

impl Part {
    #[inline]
    fn is_in(&self, rest: &[u8], text: &str) -> bool {
        match word(rest, self.at) {
            Some(word) => word & self.mask == self.word,
            // Near the end of the document.
            None => rest.starts_with(text.as_bytes()),
        }
    }
}
