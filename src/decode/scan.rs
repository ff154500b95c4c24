//! The usual JSON document, read in one pass over its bytes: the fast path of [`super::trie`].
//!
//! Keys are found by their length and first eight bytes, strings are searched for their end eight
//! bytes at a time, and nothing is built. It finds what the plain path finds or nothing at all: a
//! string with an escape, a number where a feed expects members, nesting deeper than 64 levels and
//! every fault of the document are left to the plain path, which reads it again from the beginning.

use super::layout::{self, Layout, Met};
use super::trie::{Fields, Head, Node, Slot};
use super::words::{WORD_BYTES, first_end, short_number, word};

/// The deepest nesting of what is skipped.
const SKIPPED_DEPTH_MAX: u32 = 64;
/// A value that a layout can expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number.
    Number,
    /// A string without escapes.
    String,
}

/// Reads a document into `fields`; `None` leaves it to the plain path, whatever is in `fields`.
pub(super) fn document<'a>(root: &Node, text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    Scan::new(text).document(root, fields)
}

/// As [`document`]; with it the document's layout, where it can be one.
pub(super) fn learn<'a>(root: &Node, text: &'a str, fields: &mut Fields<'a>) -> Option<Option<Layout>> {
    let mut scan = Scan { met: (text.len() <= layout::BYTES_MAX).then(Vec::new), ..Scan::new(text) };
    scan.document(root, fields)?;
    Some(scan.met.filter(|met| !met.is_empty()).and_then(|met| Layout::new(text, &met)))
}

/// How far a text is read.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// While learning, and as long as the document can be a layout: the numbers and strings so far.
    met: Option<Vec<Met>>,
}

impl<'a> Scan<'a> {
    /// At the beginning of a text.
    #[inline]
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, met: None }
    }

    fn document(&mut self, root: &Node, fields: &mut Fields<'a>) -> Option<()> {
        self.blanks();
        self.wanted(root, fields)?;
        self.blanks();
        (self.at == self.text.len()).then_some(())
    }

    /// A value of this kind.
    #[inline]
    pub(super) fn value_of(&mut self, kind: Kind) -> Option<()> {
        match (kind, self.next()?) {
            (Kind::String, b'"') => {
                self.string_end()?;
                self.expect(b'"')
            }
            (Kind::Number, first) => {
                let first = if first == b'-' { self.next()? } else { first };
                let from = self.at - 1;
                match word(self.text.as_bytes(), from).and_then(short_number) {
                    Some(bytes) => self.at = from + bytes,
                    None => self.number(first)?,
                }
                Some(())
            }
            (Kind::String, _) => None,
        }
    }

    /// Learns a value, unless there are too many.
    fn meet(&mut self, from: usize, kind: Kind) {
        let to = self.at;
        if let Some(met) = &mut self.met {
            met.push(Met { from, to, kind, slot: None });
            if met.len() > layout::VALUES_MAX {
                self.met = None;
            }
        }
    }

    /// Learns what the value that began at `from` is wanted for. Only numbers and strings vary within
    /// a layout: where another value is wanted, the document is none.
    fn meet_wanted(&mut self, from: usize, slot: Slot) {
        let last = self.met.as_mut().and_then(|met| met.last_mut());
        match last.filter(|met| met.from == from) {
            Some(met) => met.slot = Some(slot),
            None => self.met = None,
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    #[inline]
    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// A value that leads to something wanted.
    fn wanted(&mut self, node: &Node, fields: &mut Fields<'a>) -> Option<()> {
        if let Some(slot) = node.text {
            if !node.children.is_empty() || node.presence.is_some() {
                return None;
            }
            let from = self.at;
            self.skipped()?;
            self.meet_wanted(from, slot);
            fields.set(slot, self.text.get(from..self.at)?);
            return Some(());
        }
        match self.peek()? {
            b'{' => self.object(node, fields),
            b'[' => self.list(node, fields),
            // The plain path reads the number as a float, and refuses one that is none.
            b'-' | b'0'..=b'9' => None,
            _ => self.scalar(),
        }
    }

    fn object(&mut self, node: &Node, fields: &mut Fields<'a>) -> Option<()> {
        if let Some(slot) = node.presence {
            fields.set(slot, "{}");
            self.met = None;
        }
        self.at += 1;
        self.blanks();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let (head, key) = self.key()?;
            match node.by_key(head, key) {
                Some(node) => self.wanted(node, fields)?,
                None => self.skipped()?,
            }
            self.blanks();
            match self.next()? {
                b',' => self.blanks(),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn list(&mut self, node: &Node, fields: &mut Fields<'a>) -> Option<()> {
        if let Some(slot) = node.presence {
            fields.set(slot, "[]");
            self.met = None;
        }
        self.at += 1;
        self.blanks();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        for index in 0.. {
            match node.by_index(index) {
                Some(node) => self.wanted(node, fields)?,
                None => self.skipped()?,
            }
            self.blanks();
            match self.next()? {
                b',' => self.blanks(),
                b']' => break,
                _ => return None,
            }
        }
        Some(())
    }

    /// A key with its colon, up to the value.
    #[inline]
    fn key(&mut self) -> Option<(Head, &'a str)> {
        self.expect(b'"')?;
        let from = self.at;
        let first = word(self.text.as_bytes(), from);
        match first.and_then(first_end) {
            Some(bytes) => self.at += bytes,
            None => self.string_end()?,
        }
        let key = self.text.get(from..self.at)?;
        self.expect(b'"')?;
        self.blanks();
        self.expect(b':')?;
        self.blanks();
        let head = match first {
            Some(first) => Head::of_word(key.len(), first),
            None => Head::of(key.as_bytes()),
        };
        Some((head, key))
    }

    /// From within a string to its last quote, or to what only the plain path reads.
    fn string_end(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        while let Some(word) = word(bytes, self.at) {
            match first_end(word) {
                Some(before) => {
                    self.at += before;
                    return Some(());
                }
                None => self.at += WORD_BYTES,
            }
        }
        while !matches!(self.peek()?, b'"' | b'\\' | 0..=0x1f) {
            self.at += 1;
        }
        Some(())
    }

    /// Any value, without a look at what is in it.
    fn skipped(&mut self) -> Option<()> {
        if matches!(self.peek()?, b'{' | b'[') { self.skipped_nested() } else { self.scalar() }
    }

    /// An object or a list. One bit a level says which of both it is.
    fn skipped_nested(&mut self) -> Option<()> {
        let (mut objects, mut depth) = (0_u64, 0);
        loop {
            // A value begins here.
            let byte = self.peek()?;
            if matches!(byte, b'{' | b'[') {
                let is_object = byte == b'{';
                self.at += 1;
                self.blanks();
                if self.peek()? == if is_object { b'}' } else { b']' } {
                    self.at += 1;
                } else {
                    depth += 1;
                    objects = objects << 1 | u64::from(is_object);
                    if depth > SKIPPED_DEPTH_MAX {
                        return None;
                    }
                    if is_object {
                        self.key()?;
                    }
                    continue;
                }
            } else {
                self.scalar()?;
            }
            // A value has ended, and perhaps what it is in.
            while depth > 0 {
                self.blanks();
                let in_object = objects & 1 == 1;
                match self.next()? {
                    b',' => {
                        self.blanks();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    byte if byte == if in_object { b'}' } else { b']' } => {
                        depth -= 1;
                        objects >>= 1;
                    }
                    _ => return None,
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn scalar(&mut self) -> Option<()> {
        let from = self.at;
        let kind = match self.peek()? {
            b't' => return self.word("true"),
            b'f' => return self.word("false"),
            b'n' => return self.word("null"),
            b'"' => Kind::String,
            _ => Kind::Number,
        };
        self.value_of(kind)?;
        self.meet(from, kind);
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let found = self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(())
    }

    /// The rest of a number, behind its sign and first digit (RFC 8259, section 6).
    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            // A digit behind it is not the end of a value, and is left to the plain path.
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Some(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Option<()> {
        let from = self.at;
        self.digits();
        (self.at > from).then_some(())
    }
}
