//! `GET /api/v1/pipelines`: pipelines with their windows and rules, as last defined.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::params::Params;
use super::state::ApiState;
use crate::model::definition::{PipelineDefinition, RuleDefinition, Severity, WindowDefinition};
use crate::notify::Text;
use crate::rule::AggregateCall;
use crate::rule::schema::SENSOR;

/// All pipelines.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pipelines {
    /// By name.
    pub pipelines: Vec<Pipeline>,
}

/// One pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Pipeline {
    /// Name.
    pub name: String,
    /// What people see it called.
    pub title: Text,
    /// One sentence for planners; null if nobody wrote one.
    pub description: Option<Text>,
    /// Time zone of its windows.
    pub timezone: String,
    /// Feeds it reads.
    pub feeds: Vec<String>,
    /// Windows.
    pub windows: Vec<PipelineWindow>,
    /// Rules.
    pub rules: Vec<PipelineRule>,
}

/// One window of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PipelineWindow {
    /// Name.
    pub name: String,
    /// Tags it groups by, in order.
    pub by: Vec<String>,
    /// Length, as `1h`.
    pub size: String,
    /// Step; the length for a tumbling window.
    pub slide: String,
    /// Names of its fields.
    pub fields: Vec<String>,
    /// Unit of each field, where it is known.
    pub units: BTreeMap<String, String>,
}

/// One rule of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PipelineRule {
    /// Name.
    pub name: String,
    /// Window it judges, or `readings`.
    pub on: String,
    /// `info`, `warning` or `critical`.
    #[schema(value_type = String, example = "warning")]
    pub severity: Severity,
    /// SQL condition.
    pub when: String,
    /// SQL condition that ends it; null: `when` not met.
    pub clear: Option<String>,
    /// How long the condition holds before it fires.
    pub r#for: String,
    /// What people see it called.
    pub title: Text,
}

/// All pipelines.
#[utoipa::path(get, path = "/api/v1/pipelines", responses((status = 200, body = Pipelines)))]
pub(super) async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Json<Pipelines>, ApiError> {
    Params::read(&uri, &[])?;
    Ok(Json(Pipelines { pipelines: state.live.pipelines() }))
}

impl Pipeline {
    /// The outward form; `unit` finds the unit of a quantity in some feeds.
    pub(super) fn of(
        definition: &PipelineDefinition,
        unit: &dyn Fn(&[String], &str) -> Option<String>,
    ) -> Self {
        let own = || definition.feeds.iter().map(|feed| feed.name.clone()).collect();
        let feeds: Vec<String> = definition.reads.clone().unwrap_or_else(own);
        let window = |window| PipelineWindow::of(window, &|quantity: &str| unit(&feeds, quantity));
        Self {
            name: definition.name.clone(),
            title: Text::from(&definition.title),
            description: definition.description.as_ref().map(Text::from),
            timezone: definition.timezone.clone(),
            windows: definition.windows.iter().map(window).collect(),
            rules: definition.rules.iter().map(PipelineRule::of).collect(),
            feeds,
        }
    }
}

impl PipelineWindow {
    fn of(definition: &WindowDefinition, unit: &dyn Fn(&str) -> Option<String>) -> Self {
        let field_unit = |(name, aggregate): (&String, &String)| {
            Some((name.clone(), unit_of(aggregate, definition, unit)?))
        };
        Self {
            name: definition.name.clone(),
            by: definition.key_names().map(str::to_owned).collect(),
            size: definition.size.to_string(),
            slide: definition.step().to_string(),
            fields: definition.fields.keys().cloned().collect(),
            units: definition.fields.iter().filter_map(field_unit).collect(),
        }
    }
}

/// The unit of a window's aggregate: of `mean(pm25)` the quantity's, of a count `1`, UCUM's unity.
fn unit_of(
    aggregate: &str,
    window: &WindowDefinition,
    unit: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let single_sensor = window.by.iter().any(|name| name == SENSOR);
    let call = AggregateCall::parse(aggregate).ok()?.in_window(single_sensor, window.of).ok()?;
    match &call.quantity {
        Some(quantity) => Some(call.unit(&unit(quantity)?)),
        None => Some(call.unit("1")),
    }
}

impl PipelineRule {
    fn of(definition: &RuleDefinition) -> Self {
        Self {
            name: definition.name.clone(),
            on: definition.on.clone(),
            severity: definition.severity,
            when: definition.when.clone(),
            clear: definition.clear.clone(),
            r#for: definition.hold.to_string(),
            title: Text::from(&definition.title),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_the_unit_of_its_quantity() {
        let unit = |quantity: &str| (quantity == "pm25").then(|| "ug/m3".to_owned());
        let window = serde_json::json!({"name": "w", "size": "1h", "by": [], "fields": {}});
        let window: WindowDefinition = serde_json::from_value(window).unwrap();
        for (aggregate, want) in [
            ("mean(pm25)", Some("ug/m3")),
            (" p95( pm25 ) ", Some("ug/m3")),
            ("quantile(pm25, 0.999)", Some("ug/m3")),
            ("max(rate(pm25))", Some("ug/m3/s")),
            ("count(*)", Some("1")),
            ("max(x)", None),
        ] {
            assert_eq!(unit_of(aggregate, &window, &unit).as_deref(), want, "{aggregate}");
        }
    }
}
