//! A configuration as the control records that a journal begins with.

use super::configuration::Configuration;
use crate::model::Control;

/// Feeds first, in the order of their names, then pipelines in the order of theirs, with `feed`
/// emptied and `reads` filled in. The same configuration always gives the same records.
#[must_use]
pub fn controls(configuration: &Configuration) -> Vec<Control> {
    let mut feeds: Vec<_> = configuration.feeds().collect();
    feeds.sort_by(|a, b| a.name.cmp(&b.name));
    let feeds = feeds.into_iter().map(|feed| Control::Feed { feed: Box::new(feed.clone()) });
    let pipelines = configuration.pipelines.iter().map(|pipeline| {
        let mut pipeline = pipeline.clone();
        let own = std::mem::take(&mut pipeline.feeds).into_iter().map(|feed| feed.name);
        pipeline.reads.get_or_insert_with(|| own.collect());
        Control::Pipeline { pipeline: Box::new(pipeline) }
    });
    feeds.chain(pipelines).collect()
}
