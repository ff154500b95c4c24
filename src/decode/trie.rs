//! All the places a feed wants from a JSON document, read in one pass.
//!
//! Pointers are merged into a tree of keys; the walk descends only where the tree does, takes
//! wanted values as slices of the payload, and skips everything else without building it. The
//! whole document is validated. The walk recurses no deeper than the longest pointer, and
//! skipping does not recurse at all, so that a payload of brackets costs its length.
//!
//! There are three ways through a document, with one result: by a learned [`Layout`], by
//! [`super::scan`], which reads what devices usually send and gives up on anything else, and by
//! [`Walk`], the plain path, which also says what is wrong with a document.

use std::fmt;
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::layout::Layout;
use super::pointer::Pointer;
use super::scan;
use super::token::Token;
use super::words::WORD_BYTES;
use crate::model::{Reason, Rejected};

/// Where a value stands in [`Fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// The most layouts that a feed's documents are expected to have; others are read by the scan.
const LAYOUTS_MAX: usize = 4;

/// The wanted places of a document.
#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
    slots: usize,
    /// In the order in which they were learned.
    layouts: [OnceLock<Layout>; LAYOUTS_MAX],
}

/// A place on the way to what is wanted.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Takes the value's text.
    pub(super) text: Option<Slot>,
    /// Takes only whether there is an object or a list.
    pub(super) presence: Option<Slot>,
    /// Few: a feed's table is written by a person.
    pub(super) children: Vec<Child>,
}

/// A member or an element of a place.
#[derive(Debug)]
pub(super) struct Child {
    key: Box<str>,
    head: Head,
    /// The key as a list's index, where it is one.
    index: Option<usize>,
    node: Node,
}

/// A key's length and first eight bytes: most keys differ in them, and comparing them is one
/// comparison of two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    bytes: usize,
    /// In the order of memory, zeros behind a shorter key.
    word: u64,
}

/// Slots that need no allocation.
const INLINE_SLOTS: usize = 12;

/// Values found in one document, by slot.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    first: [Option<&'a str>; INLINE_SLOTS],
    more: Vec<Option<&'a str>>,
    /// Known to have no escape in any string.
    plain: bool,
}

impl<'a> Fields<'a> {
    fn new(slots: usize) -> Self {
        let more = vec![None; slots.saturating_sub(INLINE_SLOTS)];
        Self { first: Default::default(), more, plain: false }
    }

    fn clear(&mut self) {
        self.first.fill(None);
        self.more.fill(None);
    }

    /// The JSON text of a value; `None` when it is missing or `null`.
    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<&'a str> {
        let place = self.first.get(slot.0).or_else(|| self.more.get(slot.0.checked_sub(INLINE_SLOTS)?));
        place.copied().flatten()
    }

    /// A value by its kind; `None` when it is missing or `null`.
    ///
    /// # Errors
    /// As [`Token::of`].
    #[inline]
    pub(super) fn token(&self, slot: Slot) -> Result<Option<Token<'a>>, Rejected> {
        let Some(raw) = self.get(slot) else { return Ok(None) };
        let text = || raw.strip_prefix('"')?.strip_suffix('"');
        match if self.plain { text() } else { None } {
            Some(text) => Ok(Some(Token::Text(text.into()))),
            None => Token::of(raw).map(Some),
        }
    }

    /// Whether there is a value other than `null`.
    pub(super) fn has(&self, slot: Slot) -> bool {
        self.get(slot).is_some()
    }

    /// Takes the text of a value; of equal keys the last counts.
    pub(super) fn set(&mut self, slot: Slot, text: &'a str) {
        if let Some(place) = self.place(slot) {
            *place = (text != "null").then_some(text);
        }
    }

    /// Takes the text of a value other than `null`.
    #[inline]
    pub(super) fn set_some(&mut self, slot: Slot, text: &'a str) {
        if let Some(place) = self.place(slot) {
            *place = Some(text);
        }
    }

    #[inline]
    fn place(&mut self, slot: Slot) -> Option<&mut Option<&'a str>> {
        let first = self.first.get_mut(slot.0);
        first.or_else(|| self.more.get_mut(slot.0.checked_sub(INLINE_SLOTS)?))
    }
}

impl Trie {
    /// Wants the text of the value at `pointer`; asking twice gives the same slot.
    pub(super) fn text(&mut self, pointer: &Pointer) -> Slot {
        let next = Slot(self.slots);
        let slot = *self.root.descend(pointer).text.get_or_insert(next);
        self.slots += usize::from(slot == next);
        slot
    }

    /// Wants to know whether an object or a list stands at `pointer`.
    pub(super) fn presence(&mut self, pointer: &Pointer) -> Slot {
        let next = Slot(self.slots);
        let slot = *self.root.descend(pointer).presence.get_or_insert(next);
        self.slots += usize::from(slot == next);
        slot
    }

    /// Reads a document into fields that are empty.
    ///
    /// # Errors
    /// [`Reason::BadJson`] with line and column: the whole message is refused.
    #[inline]
    pub(super) fn read<'a>(&self, text: &'a str, fields: &mut Fields<'a>) -> Result<(), Rejected> {
        match self.learned(text, fields).or_else(|| self.scan(text, fields)) {
            Some(()) => Ok(()),
            None => self.read_plainly(text, fields),
        }
    }

    /// Room for the values of a document.
    #[inline]
    pub(super) fn fields<'a>(&self) -> Fields<'a> {
        Fields::new(self.slots)
    }

    /// Reads a document of a learned layout; `None` when it has none of them, and `fields` is empty
    /// again.
    #[inline]
    pub(super) fn learned<'a>(&self, text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
        // A layout, as the scan, leaves every string with an escape to the plain path.
        fields.plain = true;
        for layout in self.layouts.iter().map_while(OnceLock::get) {
            if layout.read(text, fields).is_some() {
                return Some(());
            }
            fields.clear();
        }
        None
    }

    /// Reads a document by the scan, and learns its layout as long as there is room; `None` when it
    /// is not a usual one, and `fields` is empty again.
    pub(super) fn scan<'a>(&self, text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
        fields.plain = true;
        let found = match self.layouts.iter().find(|layout| layout.get().is_none()) {
            None => scan::document(&self.root, text, fields),
            Some(room) => scan::learn(&self.root, text, fields).map(|layout| {
                if let Some(layout) = layout {
                    // Another connection may have learned another one meanwhile, which is as good.
                    let _ = room.set(layout);
                }
            }),
        };
        if found.is_none() {
            fields.clear();
        }
        found
    }

    /// Reads a document without the fast path.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn read_plainly<'a>(&self, text: &'a str, fields: &mut Fields<'a>) -> Result<(), Rejected> {
        fields.plain = false;
        let mut reader = serde_json::Deserializer::from_str(text);
        Walk { node: &self.root, fields }
            .deserialize(&mut reader)
            .and_then(|()| reader.end())
            .map_err(|error| Rejected::message(Reason::BadJson, error.to_string()))
    }
}

impl Node {
    fn descend(&mut self, pointer: &Pointer) -> &mut Self {
        pointer.steps().fold(self, |node, step| node.child_mut(step))
    }

    fn child_mut(&mut self, key: &str) -> &mut Self {
        let head = Head::of(key.as_bytes());
        let known = self.children.iter().position(|child| child.is(head, key));
        let place = known.unwrap_or_else(|| {
            // RFC 6901: an index has no leading zeros.
            let canonical = key == "0" || !key.starts_with(['0', '+']);
            let index = key.parse().ok().filter(|_| canonical);
            self.children.push(Child { key: key.into(), head, index, node: Self::default() });
            self.children.len() - 1
        });
        match self.children.get_mut(place) {
            Some(child) => &mut child.node,
            None => unreachable!("the child was found or pushed"),
        }
    }

    /// Where a member leads to, by the head of its key and the key itself.
    #[inline]
    pub(super) fn by_key(&self, head: Head, key: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(head, key)).map(|child| &child.node)
    }

    /// Where an element leads to.
    pub(super) fn by_index(&self, index: usize) -> Option<&Self> {
        self.children.iter().find(|child| child.index == Some(index)).map(|child| &child.node)
    }
}

impl Child {
    fn is(&self, head: Head, key: &str) -> bool {
        self.head == head && (head.bytes <= WORD_BYTES || *self.key == *key)
    }
}

impl Head {
    /// The head of a key.
    pub(super) fn of(key: &[u8]) -> Self {
        let word = key.iter().take(WORD_BYTES).rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self { bytes: key.len(), word }
    }

    /// The head of a key of `bytes` bytes with whose text `word` begins.
    #[inline]
    pub(super) fn of_word(bytes: usize, word: u64) -> Self {
        let kept = if bytes < WORD_BYTES { (1 << (8 * bytes)) - 1 } else { u64::MAX };
        Self { bytes, word: word & kept }
    }
}

/// One step of the walk: the value that is read belongs to `node`.
struct Walk<'t, 'f, 'de> {
    node: &'t Node,
    fields: &'f mut Fields<'de>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(slot) = self.node.text else { return deserializer.deserialize_any(self) };
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        self.fields.set(slot, raw);
        if self.node.children.is_empty() && self.node.presence.is_none() {
            return Ok(());
        }
        // Wanted both as a whole and in parts, which no usual mapping does: read its text again.
        serde_json::Deserializer::from_str(raw).deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Some(slot) = self.node.presence {
            self.fields.set(slot, "{}");
        }
        while let Some(child) = map.next_key_seed(Key(self.node))? {
            match child {
                Some(node) => map.next_value_seed(Walk { node, fields: &mut *self.fields })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if let Some(slot) = self.node.presence {
            self.fields.set(slot, "[]");
        }
        for index in 0.. {
            let more = match self.node.by_index(index) {
                Some(node) => list.next_element_seed(Walk { node, fields: &mut *self.fields })?.is_some(),
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    // A scalar where the feed expects members has none of them.

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A key, read as the child it leads to.
struct Key<'t>(&'t Node);

impl<'de, 't> DeserializeSeed<'de> for Key<'t> {
    type Value = Option<&'t Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'_> for Key<'t> {
    type Value = Option<&'t Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.by_key(Head::of(key.as_bytes()), key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_with<'a>(trie: &Trie, text: &'a str) -> Result<Fields<'a>, Rejected> {
        let mut fields = trie.fields();
        trie.read(text, &mut fields).map(|()| fields)
    }

    fn read<'a>(pointers: &[&str], text: &'a str) -> Vec<Option<&'a str>> {
        let mut trie = Trie::default();
        let slots: Vec<Slot> = pointers.iter().map(|p| trie.text(&Pointer::parse(p).unwrap())).collect();
        let fields = read_with(&trie, text).unwrap();
        slots.into_iter().map(|slot| fields.get(slot)).collect()
    }

    #[test]
    fn takes_wanted_values_in_their_own_text() {
        let text = r#"{"a":{"b":1.50,"c":[10,{"d":"x"}]},"e~/":"ñ","n":null,"a2":[]}"#;
        let found = read(&["/a/b", "/a/c/1/d", "/e~0~1", "/n", "/missing", "/a/c/0", "/a/b", "/a2/0"], text);
        assert_eq!(
            found,
            [Some("1.50"), Some("\"x\""), Some("\"ñ\""), None, None, Some("10"), Some("1.50"), None]
        );
    }

    #[test]
    fn a_value_can_be_wanted_whole_and_in_parts() {
        let found = read(&["/a", "/a/b", ""], r#" {"a": {"b": 2}} "#);
        assert_eq!(found, [Some(r#"{"b": 2}"#), Some("2"), Some(r#"{"a": {"b": 2}}"#)]);
    }

    #[test]
    fn scalars_in_the_way_give_nothing_and_of_equal_keys_the_last_counts() {
        assert_eq!(read(&["/a/b"], r#"{"a":7}"#), [None]);
        assert_eq!(read(&["/a/b"], "[true]"), [None]);
        assert_eq!(read(&["/a"], r#"{"a":1,"a":2,"b":3}"#), [Some("2")]);
        assert_eq!(read(&["/a/00", "/a/+0"], r#"{"a":[5]}"#), [None, None]);
    }

    #[test]
    fn the_whole_document_is_checked() {
        let mut trie = Trie::default();
        trie.text(&Pointer::parse("/a").unwrap());
        for text in
            ["", "{", r#"{"a":1} x"#, r#"{"a":1,"b":[1,]}"#, r#"{"a":1,}"#, r#"{"a":NaN}"#, r#"{"b":"\x"}"#]
        {
            assert_eq!(read_with(&trie, text).unwrap_err().reason, Reason::BadJson, "{text}");
        }
        let detail = read_with(&trie, r#"{"a" 5}"#).unwrap_err().detail;
        assert_eq!(&*detail, "expected `:` at line 1 column 6");
    }

    #[test]
    fn brackets_cost_their_length_only() {
        let mut trie = Trie::default();
        trie.text(&Pointer::parse("/a/a").unwrap());
        assert!(read_with(&trie, &"[".repeat(1 << 20)).is_err());
        assert!(read_with(&trie, &"{\"a\":".repeat(100_000)).is_err());
        let deep = format!("{{\"b\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read_with(&trie, &deep).is_ok());
    }

    #[test]
    fn presence_tells_an_object_from_nothing() {
        let mut trie = Trie::default();
        let slot = trie.presence(&Pointer::parse("/object").unwrap());
        trie.text(&Pointer::parse("/object/t").unwrap());
        for (text, want) in [(r#"{"object":{}}"#, true), (r#"{"object":null}"#, false), ("{}", false)] {
            assert_eq!(read_with(&trie, text).unwrap().has(slot), want, "{text}");
        }
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,4}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[ab0-2~/]{0,2}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_path(
            document in document(),
            pointers in prop::collection::vec("(/([ab0-2]|~0|~1){0,2}){0,3}", 1..6),
        ) {
            let text = document.to_string();
            let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
            for (pointer, found) in pointers.iter().zip(read(&pointers, &text)) {
                let want = document.pointer(pointer).filter(|value| !value.is_null()).map(ToString::to_string);
                prop_assert_eq!(found.map(str::to_owned), want, "{}", pointer);
            }
        }
    }
}
