//! The reading ends of the logs. Live tail and replay are the same code.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, LogFile};
use super::log::{self, HEADER_BYTES, LogError, LogKind};
use super::result_codec::ResultDecoder;
use super::{batch_codec, log::at};
use crate::flow::past::Past;
use crate::model::{Batch, ResultRow};

/// Reads the frames of a log in order.
pub struct LogReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    kind: LogKind,
    open: Option<OpenSegment>,
    next: u64,
    content: Vec<u8>,
    read_bytes: u64,
}

struct OpenSegment {
    file: Arc<dyn LogFile>,
    path: PathBuf,
    offset: u64,
}

impl LogReader {
    /// A reader whose first frame is `from`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, kind: LogKind, from: u64) -> Self {
        Self { disk, dir: dir.to_owned(), kind, open: None, next: from, content: Vec::new(), read_bytes: 0 }
    }

    /// Bytes of content that it has read.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Ordinal of the frame that comes next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next frame if its ordinal is below `before`, which must not be beyond what is written.
    ///
    /// # Errors
    /// [`LogError`] when the frame is damaged or gone.
    pub fn next(&mut self, before: u64) -> Result<Option<(u64, &[u8])>, LogError> {
        if self.next >= before {
            return Ok(None);
        }
        if self.open.is_none() {
            self.open = Some(self.find(self.next)?);
        }
        let Some(segment) = &mut self.open else { return Ok(None) };
        let length = segment.file.bytes().map_err(|source| at(&segment.path, source))?;
        if segment.offset >= length {
            let ended = segment.path.clone();
            self.open = None;
            let segment = self.find(self.next)?;
            // The frame is the first of another segment, or nowhere yet: a reader whose cursor
            // outlived a loss of power may ask for frames that are still to be derived again.
            if segment.offset != HEADER_BYTES || segment.path == ended {
                return Err(self.missing());
            }
            self.open = Some(segment);
            return self.next(before);
        }
        let ordinal = self.next;
        let read = log::read_frame(
            &*segment.file,
            &segment.path,
            ordinal,
            segment.offset,
            length,
            &mut self.content,
        )?;
        let Some(bytes) = read else {
            let (path, offset) = (segment.path.clone(), segment.offset);
            return Err(LogError::Damaged { path, offset, ordinal, what: "a frame's check sum is wrong" });
        };
        segment.offset += bytes;
        self.next += 1;
        self.read_bytes += self.content.len() as u64;
        Ok(Some((ordinal, &self.content)))
    }

    /// Opens the segment that holds `ordinal` and walks to it.
    fn find(&mut self, ordinal: u64) -> Result<OpenSegment, LogError> {
        let segments = log::segments(&*self.disk, &self.dir)?;
        let after = segments.partition_point(|segment| segment.0 <= ordinal);
        let Some((first, path)) = segments.get(after.wrapping_sub(1)).cloned() else {
            return Err(self.missing());
        };
        let file = match self.disk.open(&path, false) {
            // Collected since the folder was listed.
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Err(self.missing()),
            opened => opened.map_err(|source| at(&path, source))?,
        };
        log::check_header(&*file, &path, self.kind, first)?;
        let length = file.bytes().map_err(|source| at(&path, source))?;
        let mut offset = HEADER_BYTES;
        for walked in first..ordinal {
            match log::read_frame(&*file, &path, walked, offset, length, &mut self.content)? {
                Some(bytes) => offset += bytes,
                None => {
                    return Err(LogError::Damaged {
                        path,
                        offset,
                        ordinal: walked,
                        what: "a frame's check sum is wrong",
                    });
                }
            }
        }
        Ok(OpenSegment { file, path, offset })
    }

    /// After [`LogError::Missing`]: goes on at the first frame that is there if the one that comes
    /// next was collected. How many frames were skipped.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn skip_collected(&mut self) -> Result<u64, LogError> {
        let first = log::segments(&*self.disk, &self.dir)?.first().map_or(0, |segment| segment.0);
        let skipped = first.saturating_sub(self.next);
        if skipped > 0 {
            self.open = None;
            self.next = first;
        }
        Ok(skipped)
    }

    fn missing(&self) -> LogError {
        LogError::Missing { path: self.dir.clone(), ordinal: self.next }
    }
}

/// Reads the journal's batches; the epoch of a batch is its frame's ordinal.
pub struct BatchReader(LogReader);

impl BatchReader {
    /// A reader whose first batch is epoch `from`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, from: u64) -> Self {
        Self(LogReader::new(disk, dir, LogKind::Journal, from))
    }

    /// Epoch of the batch that comes next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.0.position()
    }

    /// Bytes of batches that it has read.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.0.read_bytes()
    }

    /// After [`LogError::Missing`]: goes on at the first batch that is there; how many were skipped.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn skip_collected(&mut self) -> Result<u64, LogError> {
        self.0.skip_collected()
    }

    /// The next batch if its epoch is below `before`.
    ///
    /// # Errors
    /// [`LogError`] when the journal is damaged there.
    pub fn next(&mut self, before: u64) -> Result<Option<(u64, Batch)>, LogError> {
        let Some((ordinal, content)) = self.0.next(before)? else { return Ok(None) };
        let batch = batch_codec::decode(content).map_err(|source| LogError::Content { ordinal, source })?;
        Ok(Some((ordinal, batch)))
    }
}

/// Gathers for recomputes what the journal in `dir` holds before an epoch.
///
/// # Errors
/// [`LogError`] when the journal does not read, or no longer holds what a recompute reads of it.
pub fn gather(disk: Arc<dyn Disk>, dir: &Path, before: u64, asked: &mut [Past]) -> Result<(), LogError> {
    let mut reader = BatchReader::new(disk, dir, 0);
    reader.skip_collected()?;
    let mut begun = false;
    while let Some((ordinal, batch)) = reader.next(before)? {
        let since = asked.iter().map(|past| past.asked.since).filter(|since| *since > 0).min();
        if !begun && since.is_some_and(|since| since < batch.first) {
            return Err(LogError::Missing { path: dir.to_owned(), ordinal: ordinal.saturating_sub(1) });
        }
        begun = true;
        asked.iter_mut().for_each(|past| past.gather(&batch));
    }
    Ok(())
}

/// Reads the results log: frames of rows.
pub struct ResultReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Absent until the first frame is asked for.
    reader: Option<LogReader>,
    decoder: ResultDecoder,
    next: u64,
}

impl ResultReader {
    /// A reader whose first frame is `from`. It reads from the start of that frame's segment, where
    /// the plans that rows name are written again.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, from: u64) -> Self {
        let dir = dir.to_owned();
        Self { disk, dir, reader: None, decoder: ResultDecoder::default(), next: from }
    }

    /// Frame that comes next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// After [`LogError::Missing`]: goes on at the first frame that is there; how many were skipped.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn skip_collected(&mut self) -> Result<u64, LogError> {
        let first = log::segments(&*self.disk, &self.dir)?.first().map_or(0, |segment| segment.0);
        let skipped = first.saturating_sub(self.next);
        if skipped > 0 {
            // The first segment left repeats the plans.
            self.reader = None;
            self.next = first;
        }
        Ok(skipped)
    }

    /// The rows of the next frame if its ordinal is below `before`.
    ///
    /// # Errors
    /// [`LogError`] when the log is damaged there.
    pub fn next(&mut self, before: u64) -> Result<Option<(u64, Vec<ResultRow>)>, LogError> {
        // A cursor may be ahead of a log that lost its unsynced tail; the same frames come again.
        if self.next >= before {
            return Ok(None);
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let segments = log::segments(&*self.disk, &self.dir)?;
                let after = segments.partition_point(|segment| segment.0 <= self.next);
                let start = segments.get(after.wrapping_sub(1)).map_or(self.next, |segment| segment.0);
                none.insert(LogReader::new(self.disk.clone(), &self.dir, LogKind::Results, start))
            }
        };
        while let Some((ordinal, content)) = reader.next(before)? {
            let rows =
                self.decoder.decode(content).map_err(|source| LogError::Content { ordinal, source })?;
            if ordinal >= self.next {
                self.next = ordinal + 1;
                return Ok(Some((ordinal, rows)));
            }
        }
        Ok(None)
    }
}
