//! The usual JSON document, read in one pass over its bytes: the fast path of [`super::trie`].
//!
//! Keys are found by their length and first eight bytes, strings are searched for their end eight
//! bytes at a time, and nothing is built. It finds what the plain path finds or nothing at all: a
//! string with an escape, a number where a feed expects members, nesting deeper than 64 levels and
//! every fault of the document are left to the plain path, which reads it again from the beginning.

use super::trie::{Fields, Head, Node};

/// The deepest nesting of what is skipped.
const SKIPPED_DEPTH_MAX: u32 = 64;
/// A byte in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte of a word.
const HIGH: u64 = 0x80 * EACH;

/// Reads a document into `fields`; `None` leaves it to the plain path, whatever is in `fields`.
pub(super) fn document<'a>(root: &Node, text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    let mut scan = Scan { text, at: 0 };
    scan.blanks();
    scan.wanted(root, fields)?;
    scan.blanks();
    (scan.at == text.len()).then_some(())
}

/// How far a text is read.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

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
    fn key(&mut self) -> Option<(Head, &'a str)> {
        self.expect(b'"')?;
        let from = self.at;
        let first = word(self.text.as_bytes(), from);
        self.string_end()?;
        let key = self.text.get(from..self.at)?;
        self.at += 1;
        self.blanks();
        self.expect(b':')?;
        self.blanks();
        let head = match first {
            Some(first) => Head::of_word(key.len(), first),
            None => Head::of(key.as_bytes()),
        };
        Some((head, key))
    }

    /// From behind a string's first quote to its last, which stays unread.
    fn string_end(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        while let Some(word) = word(bytes, self.at) {
            let ends = ends(word);
            if ends != 0 {
                self.at += (ends.trailing_zeros() / 8) as usize;
                return (self.peek()? == b'"').then_some(());
            }
            self.at += Head::BYTES;
        }
        loop {
            match self.peek()? {
                b'"' => return Some(()),
                b'\\' | 0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
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
        match self.next()? {
            b'"' => {
                self.string_end()?;
                self.at += 1;
                Some(())
            }
            b't' => self.word("rue"),
            b'f' => self.word("alse"),
            b'n' => self.word("ull"),
            b'-' => {
                let first = self.next()?;
                self.number(first)
            }
            first => self.number(first),
        }
    }

    fn word(&mut self, rest: &str) -> Option<()> {
        let found = self.text.as_bytes().get(self.at..)?.starts_with(rest.as_bytes());
        self.at += rest.len();
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

/// Eight bytes in the order of memory.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Marks of the bytes at which a string's plain part ends: quotes, backslashes, control characters.
/// The lowest mark is at the first of them; what is marked above it need not be one.
fn ends(word: u64) -> u64 {
    let equal = |byte: u8| {
        let apart = word ^ (u64::from(byte) * EACH);
        apart.wrapping_sub(EACH) & !apart
    };
    let control = word.wrapping_sub(0x20 * EACH) & !word;
    (equal(b'"') | equal(b'\\') | control) & HIGH
}
