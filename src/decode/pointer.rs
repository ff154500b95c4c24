//! JSON Pointer, RFC 6901: `/object/temperature`, `/readings/0/value`; `~1` stands for `/` in a
//! key and `~0` for `~`.

use crate::model::Fault;

/// The most steps of a pointer.
pub(super) const STEPS_MAX: usize = 32;

/// The steps from the root of a document to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pointer {
    steps: Vec<Box<str>>,
}

impl Pointer {
    /// Reads a pointer; the empty text is the whole document.
    ///
    /// # Errors
    /// A fault of the pointer's text.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Ok(Self { steps: Vec::new() });
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(Fault::new(
                format!("`{text}` is no JSON Pointer: it does not begin with `/`"),
                format!("write \"/{text}\""),
            ));
        };
        let steps = rest.split('/').map(unescaped).collect::<Result<Vec<_>, _>>()?;
        if steps.len() > STEPS_MAX {
            return Err(Fault::new(
                format!("the pointer has {} steps", steps.len()),
                format!("a pointer has at most {STEPS_MAX} steps"),
            ));
        }
        Ok(Self { steps })
    }

    /// Reads a path inside the value at `base`: a plain member name, or a pointer relative to it.
    ///
    /// # Errors
    /// A fault of the path's text.
    pub(super) fn inside(base: &str, path: &str) -> Result<Self, Fault> {
        let mut pointer = Self::parse(base)?;
        if path.is_empty() || path.starts_with('/') {
            pointer.steps.extend(Self::parse(path)?.steps);
        } else {
            pointer.steps.push(path.into());
        }
        Ok(pointer)
    }

    /// The unescaped steps from the root.
    pub(super) fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| &**step)
    }
}

fn unescaped(step: &str) -> Result<Box<str>, Fault> {
    let mut parts = step.split('~');
    let mut key = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => {
                return Err(Fault::new(
                    format!("`~` in `{step}` is followed by neither 0 nor 1"),
                    "write `~0` for `~` and `~1` for `/` (RFC 6901)",
                ));
            }
        };
        key.push(character);
        key.push_str(rest);
    }
    Ok(key.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps(text: &str) -> Vec<String> {
        Pointer::parse(text).unwrap().steps().map(str::to_owned).collect()
    }

    /// The examples of RFC 6901, section 5.
    #[test]
    fn reads_the_standards_examples() {
        assert!(steps("").is_empty());
        for (text, want) in
            [("/foo", "foo"), ("/", ""), ("/a~1b", "a/b"), ("/m~0n", "m~n"), ("/ ", " "), ("/~01", "~1")]
        {
            assert_eq!(steps(text), [want], "{text}");
        }
        assert_eq!(steps("/foo/0"), ["foo", "0"]);
    }

    #[test]
    fn refuses_with_a_remedy() {
        assert_eq!(Pointer::parse("pm25").unwrap_err().remedy, "write \"/pm25\"");
        assert!(Pointer::parse("/a~2").is_err());
        assert!(Pointer::parse("/a~").is_err());
        assert!(Pointer::parse(&"/a".repeat(STEPS_MAX + 1)).is_err());
    }

    #[test]
    fn a_path_inside_is_a_member_or_a_pointer() {
        assert_eq!(Pointer::inside("/object", "a~b").unwrap().steps().collect::<Vec<_>>(), ["object", "a~b"]);
        assert_eq!(
            Pointer::inside("/object", "/a/b").unwrap().steps().collect::<Vec<_>>(),
            ["object", "a", "b"]
        );
    }

    proptest! {
        #[test]
        fn steps_come_back_from_their_escaped_form(keys in prop::collection::vec("[a~/0-9 ñ]{0,6}", 1..5)) {
            let text: String = keys.iter().map(|k| format!("/{}", k.replace('~', "~0").replace('/', "~1"))).collect();
            prop_assert_eq!(steps(&text), keys);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = Pointer::parse(&text);
        }
    }
}
