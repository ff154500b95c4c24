//! From events to the columns of a pipeline's rows, by one definition of the pipeline and its feeds.
//!
//! A definition that was replaced keeps its own mapping for as long as its windows take in events:
//! in another one the same column may be another quantity.

use std::sync::Arc;

use super::compile::{Column, PipelinePlan};
use super::keys::SENSOR;
use crate::model::{Dictionary, Event, FeedId, QuantityId, Reading, Value};
use crate::rule::{Expression, Row};
use crate::window::Sample;

/// See the module.
#[derive(Clone)]
pub struct Mapping {
    feeds: Vec<FeedId>,
    columns: Vec<(Arc<str>, Column)>,
    texts: Vec<Arc<str>>,
    exclude: Option<Expression>,
    /// Whether conditions look at whole rows.
    rows: bool,
    /// Column of each quantity id, as far as resolved.
    places: Vec<Option<u16>>,
    /// The row of the event that was read last.
    numbers: Vec<Option<f64>>,
}

/// An event as the windows see it.
pub struct Mapped<'a> {
    /// Its readings by column.
    pub samples: Vec<(u16, Sample<'a>)>,
    /// The texts of its row.
    pub texts: Vec<Option<&'a str>>,
    /// Whether it met the pipeline's `exclude`.
    pub excluded: bool,
    /// Position of its feed among those of the pipeline.
    pub feed: usize,
}

impl Mapping {
    /// The mapping of a plan over the feeds it reads.
    #[must_use]
    pub fn new(plan: &PipelinePlan, feeds: Vec<FeedId>) -> Self {
        Self {
            feeds,
            columns: plan.columns.iter().map(|(name, column)| (name.clone(), column.clone())).collect(),
            texts: plan.texts.clone(),
            exclude: plan.exclude.clone(),
            rows: plan.exclude.is_some() || !plan.readings.is_empty(),
            places: Vec::new(),
            numbers: vec![None; plan.columns.len()],
        }
    }

    /// Reads an event; `None` when its device has no name.
    pub fn read<'a>(
        &mut self,
        event: &Event,
        readings: &[Reading],
        dictionary: &'a Dictionary,
        sequence: u64,
    ) -> Option<Mapped<'a>> {
        let (_, device) = dictionary.device(event.device)?;
        let mut samples: Vec<(u16, Sample<'_>)> = Vec::with_capacity(readings.len());
        for reading in readings {
            let Some(place) = self.place(reading.quantity, dictionary) else { continue };
            let (event_at, counter) = (event.event_at, event.counter);
            let mantissa = reading.value.0;
            samples.push((place, Sample { mantissa, event_at, device, counter, sequence }));
        }
        let texts = if self.rows { self.fill_row(event, &samples, dictionary) } else { Vec::new() };
        let row = self.row(&texts);
        let excluded = self.exclude.as_ref().is_some_and(|exclude| exclude.eval(&row) == Some(true));
        let feed = self.feeds.iter().position(|id| *id == event.feed).unwrap_or_default();
        Some(Mapped { samples, texts, excluded, feed })
    }

    /// The row of the event that was read last, with its texts.
    #[must_use]
    pub fn row<'a>(&'a self, texts: &'a [Option<&'a str>]) -> Row<'a> {
        Row { numbers: &self.numbers, texts }
    }

    fn fill_row<'a>(
        &mut self,
        event: &Event,
        samples: &[(u16, Sample<'_>)],
        dictionary: &'a Dictionary,
    ) -> Vec<Option<&'a str>> {
        self.numbers.fill(None);
        for (place, sample) in samples {
            let place = usize::from(*place);
            if let (Some(number), Some((_, column))) = (self.numbers.get_mut(place), self.columns.get(place))
            {
                *number = Some(Value(sample.mantissa).to_f64(column.decimals));
            }
        }
        let tags = dictionary.tags(event.tags);
        let text = |name: &Arc<str>| {
            if &**name == SENSOR {
                return dictionary.device(event.device).map(|device| &*device.1);
            }
            tags.and_then(|tags| tags.iter().find(|tag| tag.0 == *name)).map(|tag| &*tag.1)
        };
        self.texts.iter().map(text).collect()
    }

    /// Column of a quantity; one of another unit or other decimals is not the pipeline's.
    fn place(&mut self, id: QuantityId, dictionary: &Dictionary) -> Option<u16> {
        while self.places.len() <= id.index() {
            let quantity = dictionary.quantity(QuantityId(self.places.len() as u16))?;
            let place = self.columns.iter().position(|(name, column)| {
                **name == *quantity.name
                    && column.decimals == quantity.decimals
                    && *column.unit == *quantity.unit
            });
            self.places.push(place.map(|place| place as u16));
        }
        self.places.get(id.index()).copied().flatten()
    }
}
