//! SUBSCRIBE and UNSUBSCRIBE: clients read what Sereno publishes below `sereno/`, nothing else.
//! Messages of devices are not passed on to other clients; a city that wants that runs a broker.

use std::num::NonZeroU16;

use bytestring::ByteString;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v5::{RetainHandling, SubscribeAckReason};
use tracing::debug;

use super::connection::Connection;
use super::handshake::granted;
use super::wire::Wanted;
use crate::feed::Filter;

impl Connection {
    /// Takes a SUBSCRIBE and answers each of its filters.
    pub(super) fn subscribe(&mut self, id: NonZeroU16, filters: Vec<Wanted>, identifier: bool) {
        let mut status = Vec::with_capacity(filters.len());
        for wanted in filters {
            let reason = if identifier {
                SubscribeAckReason::SubscriptionIdentifiersNotSupported
            } else {
                self.subscribe_one(&wanted)
            };
            debug!(client = %self.number, filter = %wanted.filter, reason = ?reason, "subscription answered");
            status.push(reason);
        }
        self.wire.subscribed(id, status, &mut self.outgoing);
    }

    fn subscribe_one(&self, wanted: &Wanted) -> SubscribeAckReason {
        if wanted.filter.starts_with("$share/") {
            return SubscribeAckReason::SharedSubscriptionNotSupported;
        }
        let Ok(filter) = Filter::parse(&wanted.filter) else {
            return SubscribeAckReason::TopicFilterInvalid;
        };
        // `sereno/#`, or a part of it: the first level is spelled out.
        if filter.as_str().split('/').next() != Some("sereno") {
            return SubscribeAckReason::NotAuthorized;
        }
        let qos = granted(wanted.qos);
        let handling = wanted.retained;
        let retained = |new| match handling {
            RetainHandling::AtSubscribe => true,
            RetainHandling::AtSubscribeNew => new,
            RetainHandling::NoAtSubscribe => false,
        };
        let subscriptions_max = self.shared.options.limits.subscriptions_max;
        let taken =
            self.shared.publications.subscribe(&self.session, filter, qos, retained, subscriptions_max);
        match (taken, qos) {
            (false, _) => SubscribeAckReason::QuotaExceeded,
            (true, QoS::AtMostOnce) => SubscribeAckReason::GrantedQos0,
            (true, _) => SubscribeAckReason::GrantedQos1,
        }
    }

    /// Takes an UNSUBSCRIBE and answers it.
    pub(super) fn unsubscribe(&mut self, id: NonZeroU16, filters: &[ByteString]) {
        let existed: Vec<bool> = filters.iter().map(|filter| self.session.unsubscribe(filter)).collect();
        self.wire.unsubscribed(id, &existed, &mut self.outgoing);
    }
}
