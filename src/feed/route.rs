//! Which feed a message belongs to: the first declared route whose filter matches its topic.
//!
//! A source (the listener, or one broker) has one [`Routes`], replaced as a whole through a tokio
//! watch when pipelines change; connections pick the new table up at their next batch.

use std::sync::Arc;

use crate::model::definition::{AckLevel, Identity};
use crate::model::{Arrival, Decoded};

use super::OWN_TOPICS;

/// The longest topic taken in, in bytes.
pub const TOPIC_BYTES_MAX: usize = 1_024;

/// How a feed's payloads are read.
pub trait Decode: Send + Sync {
    /// What the message says; bad input is data, not failure.
    fn decode(&self, arrival: &Arrival) -> Decoded;
}

/// One feed as its source sees it.
pub struct Route {
    /// Feed name.
    pub feed: Arc<str>,
    /// Which topics are the feed's.
    pub filter: Filter,
    /// When its messages are acknowledged.
    pub ack: AckLevel,
    /// What tells a repeat; `protocol` is recognised here, the others by the sequencer.
    pub identity: Identity,
    /// How payloads are read.
    pub decode: Arc<dyn Decode>,
}

/// The feeds of one source, in declared order.
#[derive(Default)]
pub struct Routes {
    routes: Vec<Arc<Route>>,
}

impl Routes {
    /// The table of `routes`, in declared order.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self { routes: routes.into_iter().map(Arc::new).collect() }
    }

    /// The route a topic takes: the first that matches. Sereno's own topics take none.
    #[must_use]
    pub fn find(&self, topic: &str) -> Option<&Arc<Route>> {
        if topic.starts_with(OWN_TOPICS) {
            return None;
        }
        self.routes.iter().find(|route| route.filter.matches(topic))
    }

    /// All routes, in declared order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }
}

/// An MQTT topic filter: levels between `/`, `+` for any one level, a last `#` for any rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter(Arc<str>);

/// A topic filter that MQTT does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Empty, longer than the limit, or with a NUL.
    #[error("a topic filter has 1 to {TOPIC_BYTES_MAX} bytes and no NUL")]
    Length,
    /// A wildcard that is not a whole level, or `#` before the last one.
    #[error("`+` and `#` stand for whole levels, and `#` only for the last one")]
    Wildcard,
}

impl Filter {
    /// Checks a filter by MQTT 3.1.1, section 4.7.
    ///
    /// # Errors
    /// If no broker would take it.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() || text.len() > TOPIC_BYTES_MAX || text.contains('\0') {
            return Err(FilterError::Length);
        }
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let wildcard = level.contains(['+', '#']);
            let whole = level == "+" || (level == "#" && levels.peek().is_none());
            if wildcard && !whole {
                return Err(FilterError::Wildcard);
            }
        }
        Ok(Self(text.into()))
    }

    /// The filter as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a topic matches, by MQTT 3.1.1, section 4.7: a leading wildcard matches no topic
    /// that begins with `$`, and `a/#` matches `a`.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split('/');
        for wanted in self.0.split('/') {
            match (wanted, levels.next()) {
                ("#", _) => return true,
                (_, None) => return false,
                ("+", Some(_)) => {}
                (wanted, Some(level)) => {
                    if wanted != level {
                        return false;
                    }
                }
            }
        }
        levels.next().is_none()
    }
}

/// Whether a text can be the topic of a message: not empty, no wildcard, no NUL, not too long.
#[must_use]
pub fn is_topic(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOPIC_BYTES_MAX && !text.contains(['+', '#', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Decode for Nothing {
        fn decode(&self, _: &Arrival) -> Decoded {
            Decoded::default()
        }
    }

    fn route(feed: &str, filter: &str) -> Route {
        Route {
            feed: feed.into(),
            filter: Filter::parse(filter).unwrap(),
            ack: AckLevel::Synced,
            identity: Identity::Time,
            decode: Arc::new(Nothing),
        }
    }

    #[test]
    fn filters_match_as_mqtt_says() {
        for (filter, topic, wanted) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("+/b", "/b", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("ciudad/+/aire/+", "ciudad/comuna-07/aire/aire-00042", true),
            ("ciudad/+/aire/+", "ciudad/comuna-07/ruido/r-1", false),
        ] {
            assert_eq!(Filter::parse(filter).unwrap().matches(topic), wanted, "{filter} on {topic}");
        }
    }

    #[test]
    fn filters_mqtt_forbids_are_refused() {
        for filter in ["", "a/#/b", "a#", "a/b+", "#/a", "a\0"] {
            assert!(Filter::parse(filter).is_err(), "{filter:?}");
        }
    }

    #[test]
    fn first_declared_feed_gets_the_message() {
        let routes = Routes::new(vec![route("narrow", "a/b"), route("wide", "#")]);
        assert_eq!(&*routes.find("a/b").unwrap().feed, "narrow");
        assert_eq!(&*routes.find("a/c").unwrap().feed, "wide");
    }

    #[test]
    fn own_topics_belong_to_no_feed() {
        let routes = Routes::new(vec![route("all", "#")]);
        assert!(routes.find("sereno/alerts/x").is_none());
        assert!(routes.find("serenos").is_some());
    }
}
