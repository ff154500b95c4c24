//! From definitions to plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use xxhash_rust::xxh3::xxh3_64;

use super::rules::RulePlan;
use crate::alert::Stale;
use crate::model::decimal::DECIMALS;
use crate::model::definition::{
    FeedDefinition, FoldOf, PipelineDefinition, QuantityDefinition, RuleDefinition, WindowDefinition,
};
use crate::model::result::{Field, PlanDescription};
use crate::model::{Fault, Span, Value};
use crate::rule::{AggregateCall, Expression, Schema};
use crate::window::plan::{FieldPlan, SensorsPlan};
use crate::window::{Grid, WindowPlan, grid};

/// Quantities that decoders add of themselves: position and link quality.
pub const OWN_QUANTITIES: [(&str, &str); 4] =
    [("lat", "deg"), ("lon", "deg"), ("rssi", "dBm"), ("snr", "dB")];
/// What a close by tick waits longer than out-of-orderness, unless the pipeline says.
const CLOSE_MARGIN: Span = Span::seconds(5);
/// A rule on readings refers to this.
pub const READINGS: &str = "readings";

/// A quantity of a pipeline: its unit and decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Unit.
    pub unit: Arc<str>,
    /// Decimals.
    pub decimals: u8,
    /// The count at which a counter starts over at 0, as a mantissa.
    pub wrap: Option<i64>,
}

/// What a plan was compiled from: a checkpoint holds it in the plan's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The pipeline.
    pub pipeline: PipelineDefinition,
    /// The feeds it reads, as they were defined then.
    pub feeds: Vec<FeedDefinition>,
}

/// A compiled pipeline.
pub struct PipelinePlan {
    /// What it was compiled from.
    pub origin: Arc<Origin>,
    /// Name.
    pub name: Arc<str>,
    /// Columns of its rows, by name; their order is the row's.
    pub columns: BTreeMap<Arc<str>, Column>,
    /// Texts of its rows, in order: `sensor`, then its tags.
    pub texts: Vec<Arc<str>>,
    /// Condition that excludes events.
    pub exclude: Option<Expression>,
    /// Its windows, each with its rules.
    pub windows: Vec<(Arc<WindowPlan>, Vec<Arc<RulePlan>>)>,
    /// Its rules on readings.
    pub readings: Vec<Arc<RulePlan>>,
    /// How long after the end own readings amend.
    pub allowed_lateness: Span,
    /// How long after the end silent keys close.
    pub close_after: Span,
    /// How long after the end ticks seal.
    pub open_max: Span,
    /// How often a window is amended.
    pub amend_every: Span,
}

impl PipelinePlan {
    /// The rule of this name.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&RulePlan> {
        let of_windows = self.windows.iter().flat_map(|window| &window.1);
        of_windows.chain(&self.readings).find(|rule| &*rule.name == name).map(|rule| &**rule)
    }

    /// Whether a rule of this name is there on a window that groups by these tags; `None` when no
    /// rule has the name.
    #[must_use]
    pub fn succeeds(&self, name: &str, by: &[Arc<str>]) -> Option<bool> {
        let has = |rules: &[Arc<RulePlan>]| rules.iter().any(|rule| &*rule.name == name);
        let mut windows = self.windows.iter().filter(|window| has(&window.1)).peekable();
        let known = windows.peek().is_some() || has(&self.readings);
        known.then(|| windows.any(|window| window.0.description.by == by))
    }
}

/// Compiles a pipeline over the feeds it reads.
///
/// # Errors
/// The first fault, with its path from the pipeline's root. `config` refuses such a pipeline
/// before it reaches a journal.
pub fn compile(pipeline: &PipelineDefinition, feeds: &[&FeedDefinition]) -> Result<PipelinePlan, Fault> {
    let name: Arc<str> = pipeline.name.as_str().into();
    let columns = columns(feeds);
    let schema = Schema::of_readings(
        columns.keys().map(|name| &**name),
        feeds.iter().flat_map(|feed| feed.tag_names()),
    );
    let exclude = pipeline.exclude.as_ref().map(|sql| Expression::compile(sql, &schema)).transpose();
    let exclude = exclude.map_err(|fault| fault.under("exclude"))?;
    let close_after = close_after(pipeline, feeds);
    let zone = TimeZone::get(&pipeline.timezone)
        .map_err(|_| Fault::new("no such time zone", "write a name of the tz database").under("timezone"))?;
    let mut windows = Vec::new();
    for (at, definition) in pipeline.windows.iter().enumerate() {
        let fault = |fault: Fault| fault.under(at).under("window");
        let schema = Schema::of_window(definition);
        let waits = (close_after, exclude.as_ref());
        for grid in grids(definition, &zone).map_err(fault)? {
            let plan = window(pipeline, definition, grid, feeds, &columns, waits).map_err(fault)?;
            let plan = Arc::new(plan);
            let rules = rules(pipeline, &definition.name, |rule| {
                let times = (Stale::NextEnd(plan.grid.clone()), close_after);
                RulePlan::compile(rule, &schema, &name, &plan.description.by, times)
            })?;
            windows.push((plan, rules));
        }
    }
    let readings = rules(pipeline, READINGS, |rule| {
        RulePlan::compile(
            rule,
            &schema,
            &name,
            &["sensor".into()],
            (Stale::After(rule.stale_after), close_after),
        )
    })?;
    let feeds = feeds.iter().map(|feed| (*feed).clone()).collect();
    Ok(PipelinePlan {
        origin: Arc::new(Origin { pipeline: pipeline.clone(), feeds }),
        name,
        texts: schema.texts().cloned().collect(),
        columns,
        exclude,
        windows,
        readings,
        allowed_lateness: pipeline.allowed_lateness,
        close_after,
        open_max: pipeline.open_max,
        amend_every: pipeline.amend_every,
    })
}

/// The quantities of the feeds, by name.
#[must_use]
pub fn columns(feeds: &[&FeedDefinition]) -> BTreeMap<Arc<str>, Column> {
    let mut columns: BTreeMap<Arc<str>, Column> = OWN_QUANTITIES
        .iter()
        .map(|(name, unit)| ((*name).into(), Column { unit: (*unit).into(), decimals: DECIMALS, wrap: None }))
        .collect();
    for (name, quantity) in feeds.iter().flat_map(|feed| &feed.quantities) {
        let (unit, decimals) = (quantity.unit.as_str().into(), quantity.decimals);
        columns.insert(name.as_str().into(), Column { unit, decimals, wrap: wrap(quantity) });
    }
    columns
}

/// A counter's `counter_max` as a mantissa, where one can be.
#[must_use]
pub fn wrap(quantity: &QuantityDefinition) -> Option<i64> {
    // `{}` writes a float in full, so that it is read as a reading is.
    let text = quantity.counter_max?.to_string();
    Value::parse(text.as_bytes(), quantity.decimals).ok().map(|value| value.0).filter(|wrap| *wrap > 0)
}

/// How long after its end a silent key's window closes.
#[must_use]
pub fn close_after(pipeline: &PipelineDefinition, feeds: &[&FeedDefinition]) -> Span {
    pipeline.close_after.unwrap_or_else(|| {
        let longest = feeds.iter().map(|feed| feed.out_of_orderness).max().unwrap_or(Span::seconds(30));
        Span(longest.0.saturating_add(CLOSE_MARGIN.0))
    })
}

fn rules(
    pipeline: &PipelineDefinition,
    on: &str,
    compile: impl Fn(&RuleDefinition) -> Result<RulePlan, Fault>,
) -> Result<Vec<Arc<RulePlan>>, Fault> {
    let own = pipeline.rules.iter().enumerate().filter(|(_, rule)| rule.on == on);
    own.map(|(at, rule)| compile(rule).map(Arc::new).map_err(|fault| fault.under(at).under("rule"))).collect()
}

/// The grid of a window, or of each of its periods: windows of one name, each with a plan of its
/// own.
fn grids(definition: &WindowDefinition, zone: &TimeZone) -> Result<Vec<Grid>, Fault> {
    if !grid::nests(definition.size, definition.step()) {
        return Err(Fault::new("the slide does not divide the size", "choose one that does").under("slide"));
    }
    if definition.periods.is_empty() {
        return Ok(vec![Grid::of(definition.size, definition.step(), zone)]);
    }
    Ok(definition.periods.iter().map(|(name, period)| Grid::daily(name, *period, zone)).collect())
}

fn window(
    pipeline: &PipelineDefinition,
    definition: &WindowDefinition,
    grid: Grid,
    feeds: &[&FeedDefinition],
    columns: &BTreeMap<Arc<str>, Column>,
    (close_after, exclude): (Span, Option<&Expression>),
) -> Result<WindowPlan, Fault> {
    let mut fields = Vec::new();
    let mut names = Vec::new();
    let by_sensor = definition.by.iter().any(|name| name == super::keys::SENSOR);
    for (name, sql) in &definition.fields {
        let (plan, unit) = field(sql, (by_sensor, definition.of), columns)
            .map_err(|fault| fault.under(name.as_str()).under("fields"))?;
        fields.push(plan);
        names.push(Field { name: name.as_str().into(), unit });
    }
    let expected =
        |feed: &&FeedDefinition| feed.expected_interval.filter(|interval| by_sensor && interval.0 > 0);
    let period = grid.period().and_then(|name| definition.periods.get(&**name));
    let size = period.map_or(definition.size.nominal(), |period| Span(period.end().0 - period.begin().0));
    let sensors = SensorsPlan {
        intervals: feeds.iter().map(|feed| feed.expected_interval).collect(),
        capture_min: definition.sensor_capture_min,
        ..SensorsPlan::of(&fields, definition.hold_max.unwrap_or(size))
    };
    let excluding = exclude.iter().flat_map(|exclude| exclude.columns()).map(|column| &column.name);
    let folded = fields.iter().filter_map(|field| columns.keys().nth(usize::from(field.column?)));
    let used = folded.chain(excluding).filter_map(|name| columns.get_key_value(name)).collect();
    let description = PlanDescription {
        hash: hash(pipeline, definition, grid.period(), feeds, &used),
        pipeline: pipeline.name.as_str().into(),
        window: definition.name.as_str().into(),
        size_ns: size.0,
        slide_ns: definition.step().nominal().0,
        unit: if period.is_none() { definition.size.unit() } else { None },
        by: definition.key_names().map(Into::into).collect(),
        fields: names,
    };
    Ok(WindowPlan {
        description: Arc::new(description),
        grid,
        columns: WindowPlan::columns_of(&fields),
        sensors,
        fields,
        allowed_lateness: pipeline.allowed_lateness,
        close_after,
        open_max: pipeline.open_max,
        expected: feeds.iter().map(expected).collect(),
        capture_min: definition.capture_min.unwrap_or(0.0),
    })
}

fn field(
    sql: &str,
    (by_sensor, of): (bool, Option<FoldOf>),
    columns: &BTreeMap<Arc<str>, Column>,
) -> Result<(FieldPlan, Arc<str>), Fault> {
    let call = AggregateCall::parse(sql)?.in_window(by_sensor, of)?;
    let Some(quantity) = &call.quantity else {
        return Ok((FieldPlan::new(call.function, None, 0), call.unit("1").into()));
    };
    let place = columns.keys().position(|name| **name == **quantity);
    let (Some(place), Some(column)) = (place, columns.get(quantity.as_str())) else {
        return Err(Fault::new(
            format!("no feed of the pipeline has a quantity `{quantity}`"),
            "name one that a feed defines",
        ));
    };
    let (inner, wrap) = (call.inner, column.wrap);
    let plan =
        FieldPlan { inner, wrap, ..FieldPlan::new(call.function, Some(place as u16), column.decimals) };
    Ok((plan, call.unit(&column.unit).into()))
}

/// Everything that a window's values depend on: another hash is another plan. Of the feeds'
/// quantities those that the window's fields or the pipeline's `exclude` name: what else a feed
/// carries, or begins to carry, changes no window.
fn hash(
    pipeline: &PipelineDefinition,
    window: &WindowDefinition,
    period: Option<&Arc<str>>,
    feeds: &[&FeedDefinition],
    used: &BTreeMap<&Arc<str>, &Column>,
) -> u64 {
    let wraps: Vec<(&str, i64)> = used.iter().filter_map(|(name, c)| Some((&***name, c.wrap?))).collect();
    let columns: Vec<(&str, &str, u8)> =
        used.iter().map(|(name, c)| (&***name, &*c.unit, c.decimals)).collect();
    let feeds: Vec<(&str, Span, Option<Span>)> = feeds
        .iter()
        .map(|feed| (feed.name.as_str(), feed.out_of_orderness, feed.expected_interval))
        .collect();
    let times = (pipeline.allowed_lateness, pipeline.close_after, pipeline.open_max, &pipeline.timezone);
    let all = (&pipeline.name, window, &pipeline.exclude, times, columns, feeds);
    // Names, numbers and texts: writing them as JSON cannot fail.
    let mut bytes = serde_json::to_vec(&all).unwrap_or_default();
    bytes.extend(period.iter().flat_map(|name| name.bytes()));
    if !wraps.is_empty() {
        bytes.extend(serde_json::to_vec(&wraps).unwrap_or_default());
    }
    xxh3_64(&bytes)
}
