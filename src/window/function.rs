//! The functions of a window's fields: what each reads, and over what it folds.

use super::slot::SlotKind;

/// What is computed of a window's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// How many readings; of `*`: how many events.
    Count,
    /// Their sum.
    Sum,
    /// Their arithmetic mean.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The largest less the smallest.
    Range,
    /// The earliest, in the order of events.
    First,
    /// The latest, in the order of events.
    Last,
    /// A sensor's last less its first reading in the window, summed over sensors.
    Delta,
    /// Sample variance (divided by n - 1); no data for fewer than two readings.
    Variance,
    /// Sample standard deviation (divided by n - 1); no data for fewer than two readings.
    Stddev,
    /// Quantile, in millionths between 0 and 1,000,000; within [`super::sketch::RELATIVE_ERROR`].
    Quantile(u32),
    /// How many different values; see [`super::distinct`] for its error.
    Distinct,
    /// What counters advanced by, resets allowed for, summed over sensors.
    Increase,
    /// The increase by second of the window.
    Rate,
    /// Mean weighted by the time each reading held.
    TimeMean,
    /// Energy mean of levels in decibels; see [`super::energy`].
    EnergyMean,
    /// Mean direction of degrees; see [`super::circular`].
    CircularMean,
    /// Of `*` only: the window's capture in percent.
    CapturePercent,
}

impl Function {
    /// Quantiles are counted in this many parts.
    pub const QUANTILE_PARTS: u32 = 1_000_000;

    /// A quantile of so many hundredths.
    #[must_use]
    pub fn percentile(hundredths: u32) -> Self {
        Self::Quantile(hundredths * (Self::QUANTILE_PARTS / 100))
    }

    /// The accumulators it reads, besides [`SlotKind::Sum`], which every quantity has.
    #[must_use]
    pub fn slots(self) -> &'static [SlotKind] {
        match self {
            Self::Count | Self::Sum | Self::Mean | Self::CapturePercent => &[],
            Self::Min | Self::Max | Self::Range => &[SlotKind::Extremes],
            Self::First => &[SlotKind::First],
            Self::Last => &[SlotKind::Last],
            Self::Delta => &[SlotKind::First, SlotKind::Last],
            Self::Variance | Self::Stddev => &[SlotKind::Squares],
            Self::Quantile(_) => &[SlotKind::Sketch],
            Self::Distinct => &[SlotKind::Distinct],
            Self::Increase | Self::Rate | Self::TimeMean => &[SlotKind::Held],
            Self::EnergyMean => &[SlotKind::Energy],
            Self::CircularMean => &[SlotKind::Circular],
        }
    }

    /// Whether its value is made of one sensor's readings in their order, so that it is computed
    /// for each sensor by itself and then joined over the sensors of a key.
    #[must_use]
    pub fn per_sensor(self) -> bool {
        matches!(self, Self::Delta | Self::Increase | Self::Rate | Self::TimeMean)
    }

    /// Whether it can fold the values of sensors, which have no order among them.
    #[must_use]
    pub fn folds_sensors(self) -> bool {
        !self.per_sensor() && !matches!(self, Self::First | Self::Last | Self::CapturePercent)
    }
}
