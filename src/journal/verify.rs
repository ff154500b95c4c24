//! Reads every byte of logs and snapshots and names what is damaged, and what is lost with it.
//!
//! Nothing is written. Beside a running service only what is recorded as synced is read; without
//! one, what lies behind that mark at the end of the last segment may be a torn tail, which is told
//! and is no damage: it was never acknowledged, and the next start cuts it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::batch_codec;
use super::disk::{Disk, LogFile};
use super::log::{self, FRAME_HEAD_BYTES, HEADER_BYTES, LogError, LogKind, at};
use super::mark;
use super::result_codec::ResultDecoder;
use super::snapshot::manifest::{self, Manifest};
use super::snapshot::run::{Chunk, Run};
use super::wire::Reader;
use crate::model::Timestamp;

/// Behind a damaged frame, the next is looked for over so many bytes.
const SEARCH_BYTES_MAX: u64 = 4 * 1_024 * 1_024;
/// A frame that is looked for has at most so many bytes.
const FOUND_BYTES_MAX: u32 = 1_024 * 1_024;
/// As many damaged frames in a row are told apart.
const FOUND_FRAMES: u64 = 3;

/// One damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File.
    pub path: PathBuf,
    /// Where in it.
    pub byte: u64,
    /// What is wrong.
    pub what: String,
    /// What is lost.
    pub lost: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, byte, what, lost } = self;
        write!(f, "{}: damaged at byte {byte}: {what}; {lost}", path.display())
    }
}

/// What was read and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Damage.
    pub findings: Vec<Finding>,
    /// What is no damage and worth a line.
    pub notes: Vec<String>,
}

impl Report {
    /// Notes a damaged place.
    pub fn found(&mut self, path: &Path, byte: u64, what: impl Into<String>, lost: impl Into<String>) {
        self.findings.push(Finding { path: path.to_owned(), byte, what: what.into(), lost: lost.into() });
    }
}

/// Where sound content ends or begins again.
#[derive(Clone, Copy)]
struct Edge {
    arrived_at: Option<Timestamp>,
    record: u64,
}

/// One log being read.
struct Walk<'a> {
    kind: LogKind,
    running: bool,
    report: &'a mut Report,
    /// Ordinal after the last frame known to be synced.
    synced: u64,
    decoder: ResultDecoder,
    /// Whether every plan since the segment's beginning was read.
    decodes: bool,
    before: Option<Edge>,
    /// Findings whose loss is known once something sound follows.
    open: Vec<(Finding, u64)>,
    content: Vec<u8>,
}

/// Reads a log. `running`: a service is writing it. The record (for names: the number) after the
/// last one read.
///
/// # Errors
/// [`LogError::Disk`] when a file cannot be read at all.
pub fn log(
    disk: &dyn Disk,
    dir: &Path,
    kind: LogKind,
    running: bool,
    report: &mut Report,
) -> Result<u64, LogError> {
    let synced = match mark::peek(disk, dir)? {
        Ok(synced) => synced,
        Err(path) => {
            report.found(
                &path,
                0,
                "the recorded synced position does not read",
                "nothing is lost; remove this file",
            );
            None
        }
    };
    let mut walk = Walk {
        kind,
        running,
        report,
        synced: synced.unwrap_or(0),
        decoder: ResultDecoder::default(),
        decodes: true,
        before: None,
        open: Vec::new(),
        content: Vec::new(),
    };
    let segments = log::segments(disk, dir)?;
    let mut next = segments.first().map_or(0, |segment| segment.0);
    for (index, (first, path)) in segments.iter().enumerate() {
        if *first != next {
            walk.damage(path, 0, next, "segments before this one are missing".into());
        }
        let last = index + 1 == segments.len();
        next = walk.segment(disk, path, *first, last)?;
    }
    if next < walk.synced {
        let path = segments.last().map_or(dir, |segment| &segment.1);
        walk.damage(
            path,
            0,
            next,
            format!("it ends at {} {next}, {} were synced", kind.frame(), walk.synced),
        );
    }
    walk.settle(None);
    Ok(walk.before.map_or(0, |edge| edge.record))
}

impl Walk<'_> {
    /// Reads a segment; the ordinal that the next one should begin with.
    fn segment(&mut self, disk: &dyn Disk, path: &Path, first: u64, last: bool) -> Result<u64, LogError> {
        let file = disk.open(path, false).map_err(|source| at(path, source))?;
        let length = file.bytes().map_err(|source| at(path, source))?;
        self.report.files += 1;
        self.report.bytes += length;
        self.decodes = true;
        match log::check_header(&*file, path, self.kind, first) {
            Err(LogError::Damaged { .. }) if last && length <= HEADER_BYTES && self.synced <= first => {
                self.torn(path, length);
                return Ok(first);
            }
            Err(LogError::Damaged { what, .. }) => {
                self.damage(path, 0, first, what.into());
                self.decodes = false;
            }
            Err(failure @ LogError::Version { .. }) => {
                self.report.found(path, 8, failure.to_string(), "its content was not read");
                return Ok(first);
            }
            other => other?,
        }
        let (mut ordinal, mut offset) = (first, HEADER_BYTES);
        while offset < length {
            if self.running && last && ordinal >= self.synced {
                return Ok(ordinal);
            }
            let read = log::read_frame(&*file, path, ordinal, offset, length, &mut self.content)?;
            if let Some(bytes) = read {
                self.frame(path, offset, ordinal);
                (ordinal, offset) = (ordinal + 1, offset + bytes);
            } else if let Some((found, at)) = find(&*file, path, ordinal, offset, length)? {
                self.damage(path, offset, ordinal, "the check sum of a frame is wrong".into());
                (ordinal, offset) = (found, at);
            } else if last && ordinal >= self.synced {
                self.torn(path, length - offset);
                return Ok(ordinal);
            } else {
                self.damage(path, offset, ordinal, "no frame reads from here to the end of the file".into());
                return Ok(ordinal);
            }
        }
        Ok(ordinal)
    }

    fn torn(&mut self, path: &Path, bytes: u64) {
        let path = path.display();
        let note =
            format!("{path}: {bytes} bytes at its end were never acknowledged; the next start cuts them");
        self.report.notes.push(note);
    }

    fn damage(&mut self, path: &Path, byte: u64, ordinal: u64, what: String) {
        let what = format!("{what} ({} {ordinal})", self.kind.frame());
        self.open.push((Finding { path: path.to_owned(), byte, what, lost: String::new() }, ordinal));
        self.decodes = false;
    }

    /// A frame whose check sum is right.
    fn frame(&mut self, path: &Path, offset: u64, ordinal: u64) {
        let Some((begin, end)) = self.edges() else {
            let what = format!("the content of {} {ordinal} does not read", self.kind.frame());
            self.report.found(path, offset, what, "run the version that wrote it");
            return;
        };
        self.settle(Some(begin));
        self.before = Some(end);
    }

    /// Where the content of the frame begins and ends; `None` when it does not read.
    fn edges(&mut self) -> Option<(Edge, Edge)> {
        match self.kind {
            LogKind::Journal => {
                let batch = batch_codec::decode(&self.content).ok()?;
                let arrived_at = Some(batch.arrived_at);
                Some((Edge { arrived_at, record: batch.first }, Edge { arrived_at, record: batch.next() }))
            }
            LogKind::Results if self.decodes => {
                let rows = self.decoder.decode(&self.content).ok()?;
                let edge = |record| Edge { arrived_at: None, record };
                Some((edge(rows.first()?.cause()), edge(rows.last()?.cause() + 1)))
            }
            LogKind::Results => {
                let mut row = Reader(&self.content);
                let cause = row.uint().and_then(|_| row.byte()).and_then(|_| row.uint()).ok()?;
                Some((Edge { arrived_at: None, record: cause }, Edge { arrived_at: None, record: cause + 1 }))
            }
            LogKind::Names => {
                let mut input = Reader(&self.content);
                let (first, count) = (input.uint().ok()?, input.count().ok()? as u64);
                let edge = |record| Edge { arrived_at: None, record };
                Some((edge(first), edge(first + count)))
            }
        }
    }

    /// Says of the open findings what is lost, now that `after` is known, or the end has come.
    fn settle(&mut self, after: Option<Edge>) {
        for (mut finding, _) in self.open.drain(..) {
            finding.lost = lost(self.kind, self.before, after);
            self.report.findings.push(finding);
        }
    }
}

fn lost(kind: LogKind, before: Option<Edge>, after: Option<Edge>) -> String {
    let from = before.map_or(0, |edge| edge.record);
    let records = match after {
        Some(after) if after.record > from => format!("{from} to {}", after.record - 1),
        Some(_) => return "nothing but empty batches is lost".into(),
        None => format!("{from} and later"),
    };
    let time = |edge: Option<Edge>| edge.and_then(|edge| edge.arrived_at).map(|at| at.to_string());
    match kind {
        LogKind::Journal => {
            let since = time(before).map_or_else(String::new, |at| format!(" after {at}"));
            let until = time(after).map_or_else(String::new, |at| format!(" until {at}"));
            format!("lost: records {records}, arrived{since}{until}; restore this file from a backup")
        }
        LogKind::Results => format!(
            "lost: results of the journal's records {records}; restore this file, or remove the folder and those derived from it"
        ),
        LogKind::Names => format!(
            "lost: names {records} of the snapshot; remove the folder of snapshots while the journal is whole"
        ),
    }
}

/// The next sound frame behind the damaged one at `offset`: its ordinal and place.
fn find(
    file: &dyn LogFile,
    path: &Path,
    ordinal: u64,
    offset: u64,
    length: u64,
) -> Result<Option<(u64, u64)>, LogError> {
    let window = (length - offset).min(SEARCH_BYTES_MAX + u64::from(FOUND_BYTES_MAX));
    let mut bytes = vec![0; window as usize];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64).map_err(|source| at(path, source))? {
            0 => break,
            read => filled += read,
        }
    }
    for start in 1..filled.min(SEARCH_BYTES_MAX as usize) {
        let Some((head, content)) =
            bytes.get(start..filled).and_then(|rest| rest.split_first_chunk::<FRAME_HEAD_BYTES>())
        else {
            break;
        };
        let [a, b, c, d, e, f, g, h] = *head;
        let bytes = u32::from_le_bytes([a, b, c, d]);
        let Some(content) = content.get(..bytes as usize).filter(|_| bytes <= FOUND_BYTES_MAX) else {
            continue;
        };
        let sum = u32::from_le_bytes([e, f, g, h]);
        if let Some(found) =
            (ordinal + 1..=ordinal + FOUND_FRAMES).find(|found| log::frame_crc(*found, content) == sum)
        {
            return Ok(Some((found, offset + start as u64)));
        }
    }
    Ok(None)
}

/// Reads every snapshot in `dir`: manifests, runs and names.
///
/// # Errors
/// [`LogError::Disk`] when a folder cannot be read.
pub fn snapshots(disk: &dyn Disk, dir: &Path, running: bool, report: &mut Report) -> Result<(), LogError> {
    let lost = "the next start takes another snapshot, or folds the journal";
    let (mut runs, mut wanted) = (Vec::new(), 0);
    for epoch in manifest::list(disk, dir)? {
        report.files += 1;
        match Manifest::read(disk, dir, epoch) {
            Ok(manifest) => {
                wanted = wanted.max(manifest.kept.names);
                runs.extend(manifest.runs);
            }
            Err(failure) => report.failed(failure, lost),
        }
    }
    runs.sort_unstable_by_key(|run| (run.from, run.to));
    runs.dedup();
    for run in runs {
        report.files += 1;
        report.bytes += run.bytes;
        let read = Run::open(disk, dir, run)
            .and_then(|run| (0..run.chunks()).try_for_each(|chunk| run.read(chunk, &mut Chunk::new())));
        if let Err(failure) = read {
            report.failed(failure, lost);
        }
    }
    let names = dir.join("names");
    let read = log(disk, &names, LogKind::Names, running, report)?;
    if read < wanted && !running {
        report.found(&names, 0, format!("{read} names read, the snapshot needs {wanted}"), lost);
    }
    Ok(())
}

impl Report {
    /// Notes what could not be read.
    fn failed(&mut self, failure: LogError, lost: &str) {
        match failure {
            LogError::Damaged { path, offset, what, .. } => self.found(&path, offset, what, lost),
            LogError::Disk { path, source } => self.found(&path, 0, source.to_string(), lost),
            LogError::Version { ref path, .. } => self.found(path, 8, failure.to_string(), lost),
            other => self.found(Path::new(""), 0, other.to_string(), lost),
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
