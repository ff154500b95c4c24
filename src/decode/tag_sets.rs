//! The tag sets of a feed's last messages, found again by the texts they were made of: most messages
//! carry tags that others carried before, and then none is checked, copied or counted again.
//!
//! A place is filled once and never changed, so that connections share it without waiting for one
//! another. What is found decides how fast a message is read, never what is read from it: a set whose
//! place is taken is made anew for every message.

use std::sync::OnceLock;

use super::words::{WORD_BYTES, word};
use crate::model::TagSet;

/// Places of tag sets, a power of two.
const SETS_MAX: usize = 1_024;
/// The longest texts of a set that is kept, in bytes and together.
const TEXTS_BYTES_MAX: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct TagSets {
    places: Box<[OnceLock<Known>]>,
}

#[derive(Debug)]
struct Known {
    texts: Box<[Option<Box<str>>]>,
    tags: TagSet,
}

impl Default for TagSets {
    fn default() -> Self {
        Self { places: (0..SETS_MAX).map(|_| OnceLock::new()).collect() }
    }
}

/// The place of a set: by the lengths of its texts and the words that they begin and end with.
#[inline]
fn place<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> usize {
    // An odd number near 2^64 divided by the golden ratio (Knuth, volume 3, 6.4).
    let mix = |hash: u64, word: u64| (hash.rotate_left(32) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = texts.fold(0, |hash, text| {
        let bytes = text.unwrap_or_default().as_bytes();
        let short = || bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let first = word(bytes, 0).unwrap_or_else(short);
        let last = word(bytes, bytes.len().saturating_sub(WORD_BYTES)).unwrap_or_default();
        mix(mix(mix(hash, bytes.len() as u64), first), last)
    });
    (hash >> (u64::BITS - SETS_MAX.ilog2())) as usize
}

impl Known {
    #[inline]
    fn is_of<'a>(&self, texts: impl Iterator<Item = Option<&'a str>>) -> bool {
        texts.zip(&self.texts).all(|(text, known)| text == known.as_deref())
    }
}

impl TagSets {
    /// The tag set of these texts, one for each tag that the feed knows; it is made, and kept where
    /// there is room, if it was not made before.
    ///
    /// # Errors
    /// Those of `make`.
    #[inline]
    pub(super) fn of<'a, E>(
        &self,
        texts: impl Iterator<Item = Option<&'a str>> + Clone,
        make: impl FnOnce() -> Result<TagSet, E>,
    ) -> Result<TagSet, E> {
        let Some(place) = self.places.get(place(texts.clone())) else { return make() };
        match place.get() {
            Some(known) if known.is_of(texts.clone()) => Ok(known.tags.clone()),
            Some(_) => make(),
            None => {
                let tags = make()?;
                let bytes: usize = texts.clone().flatten().map(str::len).sum();
                if bytes <= TEXTS_BYTES_MAX {
                    let texts = texts.map(|text| text.map(Into::into)).collect();
                    // Another connection may have filled it meanwhile, which is as good.
                    let _ = place.set(Known { texts, tags: tags.clone() });
                }
                Ok(tags)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;

    fn set(texts: &[Option<&str>]) -> TagSet {
        texts.iter().flatten().map(|text| (Arc::from("tag"), Arc::from(*text))).collect()
    }

    fn of(sets: &TagSets, texts: &[Option<&str>]) -> TagSet {
        sets.of::<()>(texts.iter().copied(), || Ok(set(texts))).unwrap()
    }

    #[test]
    fn a_set_is_made_once() {
        let sets = TagSets::default();
        let first = of(&sets, &[Some("comuna-01"), None]);
        let again = sets.of::<()>([Some("comuna-01"), None].into_iter(), || panic!("it is known"));
        assert!(Arc::ptr_eq(&first, &again.unwrap()));
        assert_eq!(of(&sets, &[]), set(&[]));
    }

    #[test]
    fn only_the_same_texts_find_a_set() {
        let sets = TagSets::default();
        let long = "barrio-de-la-comuna-01-del-norte";
        let lists: [&[Option<&str>]; 8] = [
            &[Some("a"), Some("b")],
            &[Some("b"), Some("a")],
            &[Some("a"), None],
            &[None, Some("a")],
            &[Some("a"), Some("")],
            &[Some(long), None],
            // In one place with it: the words it begins and ends with are the same.
            &[Some("barrio-de-la-comuna-02-del-norte"), None],
            &[None, None],
        ];
        for _ in 0..2 {
            lists.iter().for_each(|texts| assert_eq!(of(&sets, texts), set(texts), "{texts:?}"));
        }
    }

    #[test]
    fn what_is_refused_and_what_is_long_is_not_kept() {
        let sets = TagSets::default();
        let refused = sets.of([Some("x")].into_iter(), || Err("no tag"));
        assert_eq!(refused, Err("no tag"));
        assert_eq!(of(&sets, &[Some("x")]), set(&[Some("x")]));
        for (bytes, kept) in [(TEXTS_BYTES_MAX, true), (TEXTS_BYTES_MAX + 1, false)] {
            let text = "x".repeat(bytes);
            let texts = [Some(text.as_str())];
            assert_eq!(Arc::ptr_eq(&of(&sets, &texts), &of(&sets, &texts)), kept, "{bytes}");
        }
    }

    #[test]
    fn sets_of_a_city_have_places_of_their_own() {
        let names: Vec<String> = (0..200).map(|n| format!("\"comuna-{n:03}\"")).collect();
        let places: HashSet<usize> =
            names.iter().map(|name| place([Some(name.as_str())].into_iter())).collect();
        // Thrown at random, 200 sets would take about 182 of 1,024 places.
        assert!(places.len() > 150, "{}", places.len());
        assert!(places.iter().all(|place| *place < SETS_MAX));
    }
}
