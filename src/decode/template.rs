//! A feed's topic: MQTT levels, `+`, a last `#`, and `{name}` levels that are captured.
//!
//! `ciudad/{zone}/aire/{sensor}` subscribes `ciudad/+/aire/+`; of `ciudad/comuna-07/aire/aire-1`
//! it captures `zone` and `sensor`. Sereno's own topics (`sereno/...`) are never taken in: a
//! template cannot name them, and a wildcard in the first level does not match them.

use super::labels::{NAME_BYTES_MAX, is_identifier};
use crate::model::Fault;

/// The most captures of a template.
pub const CAPTURES_MAX: usize = 8;
/// The longest topic of MQTT, in bytes.
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// The first level of the topics that Sereno publishes itself.
const OWN: &str = "sereno";

/// A parsed topic template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    filter: String,
    levels: Vec<Level>,
    names: Vec<Box<str>>,
    /// Ends in `#`: any further levels match, none too.
    open: bool,
    /// Has neither wildcards nor captures: the filter is the only topic that matches.
    literal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Literal(Box<str>),
    Any,
    Capture,
}

/// What a template captured from one topic.
#[derive(Clone, Copy, Debug)]
pub struct Captures<'a> {
    names: &'a [Box<str>],
    values: [&'a str; CAPTURES_MAX],
}

impl<'a> Captures<'a> {
    /// The value of one name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Names and values in the order of the levels.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.names.iter().map(|name| &**name).zip(self.values)
    }

    /// The value of the capture at `index`, in the order of the levels.
    pub(super) fn at(&self, index: usize) -> &'a str {
        self.values.get(index).copied().unwrap_or_default()
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A fault of the topic, with the bytes of the level at fault.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        check_whole(text)?;
        let mut template = Self {
            filter: String::new(),
            levels: Vec::new(),
            names: Vec::new(),
            open: false,
            literal: false,
        };
        let mut start = 0;
        for level in text.split('/') {
            let end = start + level.len();
            let last = end == text.len();
            template.push(level, last).map_err(|mut fault| {
                fault.within = Some((start, end));
                fault
            })?;
            start = end + 1;
        }
        let is_literal = |level: &Level| matches!(level, Level::Literal(_));
        template.literal = !template.open && template.levels.iter().all(is_literal);
        Ok(template)
    }

    /// The MQTT filter to subscribe: captures are `+`.
    #[must_use]
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// The names that topics give, in the order of the levels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// What this template captures from a topic; `None` when the topic does not match.
    #[must_use]
    #[inline]
    pub fn captures<'a>(&'a self, topic: &'a str) -> Option<Captures<'a>> {
        let mut captures = Captures { names: &self.names, values: [""; CAPTURES_MAX] };
        if self.literal {
            return (topic == self.filter).then_some(captures);
        }
        let wild = !matches!(self.levels.first(), Some(Level::Literal(_)));
        // MQTT 3.1.1, 4.7.2: a wildcard in the first level does not match `$SYS`.
        if is_own(topic) || (wild && topic.starts_with('$')) {
            return None;
        }
        let mut values = captures.values.iter_mut();
        let mut parts = topic.split('/');
        for level in &self.levels {
            let part = parts.next()?;
            match level {
                Level::Literal(literal) if **literal != *part => return None,
                Level::Capture => *values.next()? = part,
                Level::Literal(_) | Level::Any => {}
            }
        }
        (self.open || parts.next().is_none()).then_some(captures)
    }

    fn push(&mut self, level: &str, last: bool) -> Result<(), Fault> {
        if !self.filter.is_empty() || !self.levels.is_empty() {
            self.filter.push('/');
        }
        let capture = level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match level {
            "#" if last => {
                self.open = true;
                self.filter.push('#');
                return Ok(());
            }
            "+" => self.levels.push(Level::Any),
            _ if capture.is_some() => {
                self.name(capture.unwrap_or_default())?;
                self.levels.push(Level::Capture);
            }
            _ if level.contains(['+', '#']) => {
                return Err(Fault::new(
                    format!("`{level}` has a wildcard beside other characters, or a `#` before the end"),
                    "`+` stands for a whole level, `#` for all levels after the last `/`",
                ));
            }
            _ if level.contains(['{', '}']) => {
                return Err(Fault::new(
                    format!("`{level}` is a capture beside other characters"),
                    "a capture such as `{sensor}` is a whole level",
                ));
            }
            _ => {
                self.levels.push(Level::Literal(level.into()));
                self.filter.push_str(level);
                return Ok(());
            }
        }
        self.filter.push('+');
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), Fault> {
        if !is_identifier(name) {
            return Err(Fault::new(
                format!("`{{{name}}}` is no name"),
                format!("use letters, digits and `_`, a letter first, at most {NAME_BYTES_MAX} bytes"),
            ));
        }
        if self.names().any(|known| known == name) {
            return Err(Fault::new(
                format!("`{{{name}}}` stands twice"),
                "give each level a name of its own",
            ));
        }
        if self.names.len() == CAPTURES_MAX {
            return Err(Fault::new(
                "too many captures",
                format!("a topic has at most {CAPTURES_MAX}; use `+`"),
            ));
        }
        self.names.push(name.into());
        Ok(())
    }
}

/// Whether a topic is one that Sereno publishes itself.
pub(super) fn is_own(topic: &str) -> bool {
    topic.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_whole(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.len() > TOPIC_BYTES_MAX || text.contains(char::is_control) {
        return Err(Fault::new(
            format!("a topic has 1 to {TOPIC_BYTES_MAX} bytes and no control characters"),
            "write a topic such as \"ciudad/{zone}/aire/{sensor}\"",
        ));
    }
    if is_own(text) {
        return Err(Fault::new(
            "a feed never takes in Sereno's own topics",
            "subscribe to the topics that devices publish, not to `sereno/...`",
        ));
    }
    if text.starts_with("$share/") {
        return Err(Fault::new(
            "a shared subscription spreads one device's messages over several readers",
            "write the topic without `$share/<group>/`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn captured<'a>(template: &'a Template, topic: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        template.captures(topic).map(|captures| captures.iter().collect())
    }

    #[test]
    fn captures_levels_by_name() {
        let template = Template::parse("ciudad/{zone}/aire/{sensor}").unwrap();
        assert_eq!(template.filter(), "ciudad/+/aire/+");
        let topic = "ciudad/comuna-07/aire/aire-00042";
        assert_eq!(captured(&template, topic), Some(vec![("zone", "comuna-07"), ("sensor", "aire-00042")]));
        assert_eq!(template.captures(topic).unwrap().get("zone"), Some("comuna-07"));
        for topic in ["ciudad/x/aire", "ciudad/x/aire/y/z", "ciudad/x/ruido/y", "", "x"] {
            assert!(template.captures(topic).is_none(), "{topic}");
        }
        assert_eq!(captured(&template, "ciudad//aire/"), Some(vec![("zone", ""), ("sensor", "")]));
    }

    #[test]
    fn wildcards_match_as_in_mqtt() {
        for (template, topic, matches) in [
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "b", false),
            ("#", "a//", true),
            ("+/b", "a/b", true),
            ("+", "a/b", false),
            ("/a", "/a", true),
            ("/a", "a", false),
            ("#", "$SYS/uptime", false),
            ("{x}/uptime", "$SYS/uptime", false),
            ("$SYS/{x}", "$SYS/uptime", true),
            ("#", "sereno/alerts", false),
            ("+/alerts", "sereno/alerts", false),
            ("{x}/alerts", "serenos/alerts", true),
        ] {
            assert_eq!(
                Template::parse(template).unwrap().captures(topic).is_some(),
                matches,
                "{template} {topic}"
            );
        }
        assert_eq!(Template::parse("/{a}/#").unwrap().filter(), "/+/#");
        assert_eq!(Template::parse("#").unwrap().filter(), "#");
    }

    #[test]
    fn refuses_with_the_level_at_fault() {
        for (text, within) in [
            ("a/b+/c", Some((2, 4))),
            ("a/#/c", Some((2, 3))),
            ("a/x{y}", Some((2, 6))),
            ("{a}/{a}", Some((4, 7))),
            ("a/{}", Some((2, 4))),
            ("a/{{x}}", Some((2, 7))),
            ("a/{1x}", Some((2, 6))),
            ("a/{ñ}", Some((2, 6))),
            ("", None),
            ("a\u{0}b", None),
            ("sereno/alerts", None),
            ("sereno", None),
            ("sereno/#", None),
            ("$share/g/a", None),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().within, within, "{text}");
        }
    }

    proptest! {
        #[test]
        fn captured_levels_come_back(levels in prop::collection::vec(("[a-z]{1,5}", any::<bool>(), "[^/+#\\x00]{0,6}"), 1..=CAPTURES_MAX)) {
            let names: Vec<String> = (0..levels.len()).map(|n| format!("n{n}")).collect();
            let part = |n: usize| if levels[n].1 { format!("{{{}}}", names[n]) } else { format!("x{}", levels[n].0) };
            let text: Vec<String> = (0..levels.len()).map(part).collect();
            let topic: Vec<String> =
                levels.iter().map(|(literal, capture, value)| if *capture { value.clone() } else { format!("x{literal}") }).collect();
            let (text, topic) = (text.join("/"), topic.join("/"));
            prop_assume!(!topic.starts_with('$') && !topic.starts_with("sereno"));
            let template = Template::parse(&text).unwrap();
            let want: Vec<(String, String)> = levels.iter().enumerate().filter(|(_, l)| l.1).map(|(n, l)| (names[n].clone(), l.2.clone())).collect();
            let found: Vec<(String, String)> =
                template.captures(&topic).unwrap().iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(found, want);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", topic in ".{0,40}") {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.captures(&topic);
            }
        }
    }
}
