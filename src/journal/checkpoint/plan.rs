//! Which key groups a checkpoint writes anew: some in turn, and those of which too much changed.

use super::manifest::{Block, Manifest};
use crate::flow::key_runs::{IN_BASE, IN_DELTA};
use crate::flow::state::{Part, Request};
use crate::model::key::KEY_GROUPS;

/// After so many checkpoints every base was written anew.
const TURNS: usize = 16;
const GROUPS_A_TURN: usize = KEY_GROUPS / TURNS;

/// What is known of one group's files.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// Period of its base; none without one.
    base: Option<u32>,
    /// Bytes of its base.
    base_bytes: u64,
    /// Bytes of its last delta.
    delta_bytes: u64,
}

/// The bases that are on disk, and whose turn it is.
#[derive(Debug)]
pub struct Plan {
    groups: Vec<Group>,
    turn: usize,
    period: u32,
}

impl Plan {
    /// After a start from `manifest`, or from the journal's beginning.
    #[must_use]
    pub fn new(manifest: Option<&Manifest>) -> Self {
        let mut groups = vec![Group::default(); KEY_GROUPS];
        if let Some(manifest) = manifest {
            let length = |block: Option<&Block>| block.map_or(0, |block| block.length);
            for (number, group) in (0..=u8::MAX).zip(&mut groups) {
                *group = Group {
                    base: Some(IN_BASE),
                    base_bytes: length(manifest.bases.get(&number)),
                    delta_bytes: length(manifest.deltas.get(&number)),
                };
            }
        }
        Self { groups, turn: 0, period: IN_DELTA + 2 }
    }

    /// What the checkpoint before epoch `next` is to hold.
    pub fn request(&mut self, next: u64) -> Request {
        let period = self.period;
        self.period += 1;
        let first = self.turn * GROUPS_A_TURN;
        let turn = first..first + GROUPS_A_TURN;
        let since = self.groups.iter().enumerate().map(|(at, group)| {
            let grown = group.delta_bytes * 2 > group.base_bytes;
            group.base.filter(|_| !grown && !turn.contains(&at))
        });
        Request { next, period, since: since.collect() }
    }

    /// The checkpoint of a request is on disk.
    pub fn written(&mut self, period: u32, parts: &[Part]) {
        self.turn = (self.turn + 1) % TURNS;
        for state in parts.iter().flat_map(|part| &part.groups) {
            let Some(group) = self.groups.get_mut(usize::from(state.group)) else { continue };
            let bytes = state.bytes.len() as u64;
            if state.base {
                // What changes from the request on is marked with its period.
                *group = Group { base: Some(period - 1), base_bytes: bytes, delta_bytes: 0 };
            } else {
                group.delta_bytes = bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::state::GroupState;

    fn answer(request: &Request, bytes: usize, changed: usize) -> Vec<Part> {
        let group = |(group, since): (u8, &Option<u32>)| {
            let base = since.is_none();
            let bytes = vec![0; if base { bytes } else { changed }];
            GroupState { group, base, keys: 1, bytes }
        };
        let groups = (0..=u8::MAX).zip(&request.since).map(group).collect();
        vec![Part { groups, ..Part::default() }]
    }

    fn bases(request: &Request) -> usize {
        request.since.iter().filter(|since| since.is_none()).count()
    }

    #[test]
    fn bases_are_written_in_turn_or_when_half_of_them_changed() {
        let mut plan = Plan::new(None);
        let first = plan.request(1);
        assert_eq!(bases(&first), KEY_GROUPS);
        plan.written(first.period, &answer(&first, 100, 0));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..TURNS {
            let request = plan.request(2);
            assert_eq!(bases(&request), GROUPS_A_TURN);
            seen.extend((0..KEY_GROUPS).filter(|at| request.since[*at].is_none()));
            plan.written(request.period, &answer(&request, 100, 50));
        }
        assert_eq!(seen.len(), KEY_GROUPS);
        let request = plan.request(3);
        plan.written(request.period, &answer(&request, 100, 51));
        // All but those written anew just now.
        assert_eq!(bases(&plan.request(4)), KEY_GROUPS - GROUPS_A_TURN);
    }

    #[test]
    fn a_checkpoint_that_was_not_written_changes_nothing() {
        let mut plan = Plan::new(None);
        let first = plan.request(1);
        plan.written(first.period, &answer(&first, 100, 0));
        let lost = plan.request(2);
        let again = plan.request(3);
        assert_eq!(lost.since, again.since);
        assert!(again.period > lost.period);
    }
}
