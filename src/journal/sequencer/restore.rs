//! What a snapshot keeps of the sequencer, and the sequencer as it was kept.

use std::sync::{Arc, RwLock};

use super::{FeedState, Ring, Sequencer, control_name, read};
use crate::journal::log::LogError;
use crate::journal::snapshot::Kept;
use crate::journal::snapshot::restore::State;
use crate::model::{Control, DeviceId};

impl Sequencer {
    /// What a snapshot at `epoch` keeps beside names and rings. Everything taken in must have left
    /// by [`Sequencer::take`] and be appended before that epoch.
    #[must_use]
    pub fn kept(&self, epoch: u64) -> Kept {
        let names = read(&self.dictionary);
        let sizes =
            [names.feeds().len(), names.devices().len(), names.tag_sets().len(), names.quantities().len()];
        Kept {
            epoch,
            next: self.next,
            arrived_at: self.arrived_at,
            ticked: self.ticked,
            names: sizes.iter().map(|size| *size as u64).sum(),
            feeds: self.feeds.iter().map(FeedState::kept).collect(),
            definitions: self.definitions.values().cloned().collect(),
        }
    }

    /// The sequencer of a snapshot; batches from its epoch on are still to be folded in.
    #[must_use]
    pub fn restored(state: State) -> Self {
        let State { kept, names, past, packets } = state;
        let mut feeds: Vec<FeedState> = kept.feeds.into_iter().map(FeedState::restored).collect();
        for control in &kept.definitions {
            if let Control::Feed { feed } = &**control
                && let Some(state) = names.feed_id(&feed.name).and_then(|id| feeds.get_mut(id.index()))
            {
                state.definition = Some(feed.clone());
            }
        }
        let named = |control: Arc<Control>| control_name(&control).map(|name| (name, control));
        Self {
            feeds,
            rings: std::iter::repeat_with(Ring::default).take(names.devices().len()).collect(),
            dictionary: Arc::new(RwLock::new(names)),
            definitions: kept.definitions.into_iter().filter_map(named).collect(),
            past: Some(past),
            packets,
            next: kept.next,
            arrived_at: kept.arrived_at,
            ticked: kept.ticked,
            ..Self::default()
        }
    }

    /// Has the device's ring whole; false when the snapshot does not read.
    pub(super) fn recall(&mut self, device: DeviceId) -> bool {
        let Some(past) = &mut self.past else { return true };
        match past.recall(device, &mut self.rings) {
            Ok(forgotten) => {
                let names = read(&self.dictionary);
                for (device, held) in forgotten {
                    let feed = names.device(device).map(|(feed, _)| feed.index());
                    if let Some(feed) = feed.and_then(|feed| self.feeds.get_mut(feed)) {
                        feed.recent.add(device.0, held);
                    }
                }
                true
            }
            Err(failure) => {
                self.fault = Some(failure);
                false
            }
        }
    }

    /// Why nothing more may be journalled: a part of the snapshot did not read when it was needed.
    /// What was taken in since [`Sequencer::take`] is not to be acknowledged.
    #[must_use]
    pub fn fault(&mut self) -> Option<LogError> {
        self.fault.take()
    }
}
