//! The journal, the results log and the sequencer.
