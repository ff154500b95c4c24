//! A topic with places for values of the row: `city/{zone}/air/{id}`.

use super::PlayError;
use super::rows::Row;

/// A parsed template.
pub(super) struct Template {
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Column(String),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, PlayError> {
        let refuse = |detail: &str| PlayError::Option(format!("--topic {text}: {detail}"));
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (column, behind) = after.split_once('}').ok_or_else(|| refuse("a `{` has no `}`"))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Column(column.to_owned()));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        let has_wildcard =
            parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(['+', '#'])));
        match (text.is_empty(), has_wildcard) {
            (true, _) => Err(refuse("it is empty")),
            (_, true) => Err(refuse("messages cannot be published on wildcards (+ and #)")),
            _ => Ok(Self { parts }),
        }
    }

    /// The columns that the template names.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(column) => Some(column.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The topic of a row; what MQTT does not allow in a level becomes `_`.
    pub(super) fn fill(&self, row: &Row) -> Result<String, PlayError> {
        let mut topic = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => topic.push_str(text),
                Part::Column(column) => {
                    let value = row
                        .get(column)
                        .ok_or_else(|| row.error(format!("there is no `{column}` for the topic")))?;
                    topic.extend(
                        value.chars().map(|c| if "+#/".contains(c) || c.is_control() { '_' } else { c }),
                    );
                }
            }
        }
        Ok(topic)
    }
}
