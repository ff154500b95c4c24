//! The newest refusals, bounded by count and bytes. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::quarantine::{PAYLOAD_SHOWN_BYTES_MAX, Refused};
use crate::model::Refusal;

/// Refusals kept.
const KEPT_MAX: usize = 2_000;
/// Bytes of topics, details and payloads kept.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The ring, the oldest in front.
#[derive(Debug, Default)]
pub(super) struct QuarantineRing {
    held: VecDeque<Refused>,
    bytes: usize,
    pushed: u64,
}

impl QuarantineRing {
    pub(super) fn push(&mut self, sequence: u64, refusal: &Refusal, feed: Option<&Arc<str>>) {
        let shown = refusal.payload.get(..PAYLOAD_SHOWN_BYTES_MAX).unwrap_or(&refusal.payload);
        let refused = Refused {
            sequence,
            arrived_at: refusal.arrived_at.to_string(),
            feed: feed.map(|feed| feed.to_string()).unwrap_or_default(),
            topic: refusal.topic.to_string(),
            reason: refusal.reason.as_str().to_owned(),
            detail: refusal.detail.to_string(),
            payload: String::from_utf8_lossy(shown).into_owned(),
            payload_bytes: refusal.payload_bytes,
        };
        self.pushed += 1;
        self.bytes += size(&refused);
        self.held.push_back(refused);
        while self.held.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.held.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }

    /// Refusals since the view began, also those no longer held.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    pub(super) fn list(&self, feed: Option<&str>, limit: usize) -> Vec<Refused> {
        let wanted = |refused: &&Refused| feed.is_none_or(|feed| feed == refused.feed);
        self.held.iter().rev().filter(wanted).take(limit).cloned().collect()
    }
}

fn size(refused: &Refused) -> usize {
    refused.topic.len() + refused.detail.len() + refused.payload.len() + size_of::<Refused>()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::{FeedId, Reason, Timestamp};

    fn refusal(payload: &'static [u8]) -> Refusal {
        Refusal {
            feed: FeedId(0),
            arrived_at: Timestamp(0),
            reason: Reason::BadJson,
            detail: "expected `:`".into(),
            topic: "a/b".into(),
            payload: Bytes::from_static(payload),
            payload_bytes: payload.len() as u64,
        }
    }

    #[test]
    fn the_newest_stay_within_both_bounds() {
        let mut ring = QuarantineRing::default();
        (0..3_000).for_each(|n| ring.push(n, &refusal(b"{\"a\" 1}"), Some(&"air".into())));
        assert_eq!((ring.held.len(), ring.pushed()), (KEPT_MAX, 3_000));
        assert_eq!(ring.list(None, 2).iter().map(|r| r.sequence).collect::<Vec<_>>(), [2_999, 2_998]);
        assert!(ring.list(Some("river"), 9).is_empty());

        // What is no UTF-8 grows threefold when shown.
        (0..3_000).for_each(|n| ring.push(n, &refusal(&[0xff; 8_000]), None));
        assert!(ring.bytes <= KEPT_BYTES_MAX && ring.held.len() < KEPT_MAX);
        assert_eq!(ring.list(None, 1)[0].payload.chars().count(), PAYLOAD_SHOWN_BYTES_MAX);
        assert_eq!(ring.list(None, 1)[0].payload_bytes, 8_000);
    }
}
