//! The sequencer's state as a fold of the journal's batches.

use std::sync::{Arc, PoisonError};

use super::recognise::{remember, said};
use super::{Ring, Sequencer, control_name, read};
use crate::journal::feed_state::FeedState;
use crate::model::definition::Identity;
use crate::model::{Batch, Control, Entry, Event, Record};

impl Sequencer {
    /// Takes in one batch of the journal at a start.
    pub fn recover(&mut self, batch: &Batch) {
        for (_, record) in batch.iter() {
            match record {
                Record::Event(event) => self.recover_event(batch, event),
                Record::Control(control) => self.define(control),
                Record::Step { feed, watermark } => {
                    if let Some(state) = self.feeds.get_mut(feed.index()) {
                        state.recovered_step(*watermark);
                    }
                }
                Record::Tick { to, .. } => self.ticked = Some(*to),
                Record::Entry(entry) => self.learn(entry),
                Record::Refusal(_) | Record::Restored { .. } => {}
            }
        }
        batch.packets.iter().for_each(|packet| self.packets.take(packet));
        self.arrived_at = self.arrived_at.max(batch.arrived_at);
        self.next = batch.next();
    }

    fn recover_event(&mut self, batch: &Batch, event: &Event) {
        self.arrived_at = self.arrived_at.max(event.arrived_at);
        let Some(feed) = self.feeds.get_mut(event.feed.index()) else { return };
        let identity = feed.definition.as_ref().map_or(Identity::Time, |definition| definition.identity);
        let readings = batch.readings_of(event);
        // The step that followed it is in the journal too.
        feed.saw(event.event_at, event.arrived_at);
        if identity != Identity::Protocol
            && let Some(ring) = self.rings.get_mut(event.device.index())
        {
            let said = said(feed, identity, event.event_at, event.counter, readings);
            remember(feed, ring, event.device, &said);
        }
    }

    pub(super) fn define(&mut self, control: &Arc<Control>) {
        if let Control::Feed { feed } = &**control {
            let id = read(&self.dictionary).feed_id(&feed.name);
            if let Some(state) = id.and_then(|id| self.feeds.get_mut(id.index())) {
                state.definition = Some(feed.clone());
            }
        }
        if let Some(name) = control_name(control) {
            self.definitions.insert(name, control.clone());
        }
    }

    pub(super) fn learn(&mut self, entry: &Entry) {
        match entry {
            Entry::Feed(_) => self.feeds.push(FeedState::default()),
            Entry::Device(feed, _) => {
                self.rings.push(Ring::default());
                if let Some(state) = self.feeds.get_mut(feed.index()) {
                    state.devices += 1;
                }
            }
            Entry::Tags(_) | Entry::Quantity(_) => {}
        }
        self.dictionary.write().unwrap_or_else(PoisonError::into_inner).insert(entry);
    }
}
