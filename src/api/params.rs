//! Query parameters, checked: names that nobody reads are refused, so that a misspelt filter
//! does not silently answer with everything.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::Uri;

use super::error::ApiError;
use crate::model::Timestamp;

/// Parameters of one request by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Takes the query apart. `known` lists the names; one that ends in a dot stands for all
    /// names that begin with it.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| {
            ApiError::bad_request(error.to_string(), "write name=value pairs joined by &")
        })?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs.0 {
            let is_known = known.iter().any(|known| match known.strip_suffix('.') {
                Some(_) => name.len() > known.len() && name.starts_with(known),
                None => name == *known,
            });
            if !is_known {
                let remedy = if known.is_empty() {
                    "leave it out: there are no parameters here".to_owned()
                } else {
                    format!("known parameters: {}", known.join(", "))
                };
                return Err(ApiError::bad_request(format!("there is no parameter `{name}`"), remedy));
            }
            if params.insert(name.clone(), value).is_some() {
                let message = format!("the parameter `{name}` is given twice");
                return Err(ApiError::bad_request(message, "give it once"));
            }
        }
        Ok(Self(params))
    }

    /// A parameter's text, if it is given and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A parameter that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| {
            ApiError::bad_request(format!("the parameter `{name}` is missing"), format!("add {name}=..."))
        })
    }

    /// `limit`: a whole number from 1; above `max` it is held at `max`.
    pub(super) fn limit(&self, default: usize, max: usize) -> Result<usize, ApiError> {
        let Some(text) = self.text("limit") else { return Ok(default) };
        match text.parse::<usize>() {
            Ok(limit) if limit > 0 => Ok(limit.min(max)),
            _ => Err(ApiError::bad_request(
                format!("`limit={text}` is no number of rows"),
                format!("give a whole number from 1 to {max}"),
            )),
        }
    }

    /// A parameter that is a time.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // A plus sign that was not percent-encoded arrives as a space.
        let text = text.replace(' ', "+");
        let parsed = Timestamp::parse_rfc3339(&text);
        parsed.map(Some).ok_or_else(|| {
            let message = format!("`{name}={text}` is no time");
            ApiError::bad_request(
                message,
                "write RFC 3339 with an offset, for example 2026-03-01T12:00:00-05:00",
            )
        })
    }

    /// All parameters that begin with `prefix`, by the rest of their names.
    pub(super) fn prefixed(&self, prefix: &str) -> BTreeMap<String, String> {
        let rest = |(name, value): (&String, &String)| {
            name.strip_prefix(prefix).map(|rest| (rest.to_owned(), value.clone()))
        };
        self.0.iter().filter_map(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Params, ApiError> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Params::read(&uri, &["feed", "limit", "from", "tag."])
    }

    #[test]
    fn known_names_are_read_and_others_refused() {
        let params = read("feed=air&tag.zone=comuna%2001&limit=7").unwrap();
        assert_eq!(params.text("feed"), Some("air"));
        assert_eq!(params.prefixed("tag."), [("zone".to_owned(), "comuna 01".to_owned())].into());
        for query in ["fed=air", "tag.=x", "tag=x", "feed=a&feed=b"] {
            assert!(read(query).is_err(), "{query}");
        }
    }

    #[test]
    fn limits_and_times_are_checked() {
        assert_eq!(read("").unwrap().limit(10, 100), Ok(10));
        assert_eq!(read("limit=5000").unwrap().limit(10, 100), Ok(100));
        for query in ["limit=0", "limit=-1", "limit=many", "limit=1.5"] {
            assert!(read(query).unwrap().limit(10, 100).is_err(), "{query}");
        }
        let noon = Timestamp::parse_rfc3339("2026-03-01T12:00:00+01:00");
        assert_eq!(read("from=2026-03-01T12:00:00%2B01:00").unwrap().time("from"), Ok(noon));
        assert_eq!(read("from=2026-03-01T12:00:00+01:00").unwrap().time("from"), Ok(noon));
        assert!(read("from=yesterday").unwrap().time("from").is_err());
        assert!(read("from=2026-03-01T12:00:00").unwrap().time("from").is_err());
    }
}
