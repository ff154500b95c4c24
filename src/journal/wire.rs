//! Bytes of frames: LEB128 variable-length integers, zigzag for signed ones, length-prefixed text.

use std::sync::Arc;

use thiserror::Error;

use crate::model::Timestamp;

/// A frame whose check sum is right and whose content is not: another version's, or a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the content of a frame does not follow the format")]
pub struct BadContent;

/// Appends to a frame.
#[derive(Clone, Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// An unsigned integer, 7 bits a byte, low bits first.
    pub fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A signed integer in zigzag.
    pub fn int(&mut self, value: i64) {
        self.uint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.uint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Text with its length in bytes before it.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A float, 8 bytes little-endian.
    pub fn float(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// An optional time: a byte 0, or 1 and the time.
    pub fn optional_time(&mut self, time: Option<Timestamp>) {
        self.byte(u8::from(time.is_some()));
        if let Some(time) = time {
            self.int(time.0);
        }
    }

    /// An optional float: a byte 0, or 1 and the float.
    pub fn optional_float(&mut self, value: Option<f64>) {
        match value {
            None => self.byte(0),
            Some(value) => {
                self.byte(1);
                self.float(value);
            }
        }
    }
}

/// Reads what [`Writer`] wrote.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// One byte.
    ///
    /// # Errors
    /// [`BadContent`] at the end.
    pub fn byte(&mut self) -> Result<u8, BadContent> {
        let (first, rest) = self.0.split_first().ok_or(BadContent)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// [`BadContent`] at the end or beyond 64 bits.
    #[inline]
    pub fn uint(&mut self) -> Result<u64, BadContent> {
        match self.0 {
            [first, rest @ ..] if *first < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_uint(),
        }
    }

    /// An integer of several bytes: those of up to eight at once, where so many are left.
    fn long_uint(&mut self) -> Result<u64, BadContent> {
        const GOES_ON: u64 = 0x8080_8080_8080_8080;
        if let Some(word) = self.0.first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let ends = !word & GOES_ON;
            if ends != 0 {
                // The bits up to the one that says that it ends there.
                let kept = word & (ends ^ ends.wrapping_sub(1)) & !GOES_ON;
                let fourteens = kept & 0x007f_007f_007f_007f | (kept & 0x7f00_7f00_7f00_7f00) >> 1;
                let halves = fourteens & 0x0000_3fff_0000_3fff | (fourteens & 0x3fff_0000_3fff_0000) >> 2;
                self.0 = self.0.get(ends.trailing_zeros() as usize / 8 + 1..).unwrap_or_default();
                return Ok(halves & 0x0fff_ffff | (halves & 0x0fff_ffff_0000_0000) >> 4);
            }
        }
        self.any_uint()
    }

    fn any_uint(&mut self) -> Result<u64, BadContent> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(BadContent);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BadContent)
    }

    /// An unsigned integer that fits a smaller type.
    ///
    /// # Errors
    /// [`BadContent`] when it does not.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Result<T, BadContent> {
        T::try_from(self.uint()?).map_err(|_| BadContent)
    }

    /// An unsigned integer of 8 bytes, little-endian.
    ///
    /// # Errors
    /// [`BadContent`] at the end.
    pub fn eight(&mut self) -> Result<u64, BadContent> {
        let (first, rest) = self.0.split_first_chunk::<8>().ok_or(BadContent)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*first))
    }

    /// A signed integer.
    ///
    /// # Errors
    /// [`BadContent`] as for [`Reader::uint`].
    pub fn int(&mut self) -> Result<i64, BadContent> {
        let value = self.uint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number of things that follow, each of at least one byte, so that a length can never ask
    /// for more memory than the frame has bytes.
    ///
    /// # Errors
    /// [`BadContent`] when more than bytes are left.
    pub fn count(&mut self) -> Result<usize, BadContent> {
        let count: usize = self.small()?;
        if count > self.0.len() { Err(BadContent) } else { Ok(count) }
    }

    /// Length-prefixed bytes.
    ///
    /// # Errors
    /// [`BadContent`] when the frame is shorter.
    pub fn bytes(&mut self) -> Result<&'a [u8], BadContent> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(BadContent)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Length-prefixed text.
    ///
    /// # Errors
    /// [`BadContent`] when it is no UTF-8.
    pub fn text(&mut self) -> Result<&'a str, BadContent> {
        std::str::from_utf8(self.bytes()?).map_err(|_| BadContent)
    }

    /// Length-prefixed text to share.
    ///
    /// # Errors
    /// [`BadContent`] when it is no UTF-8.
    pub fn shared(&mut self) -> Result<Arc<str>, BadContent> {
        self.text().map(Arc::from)
    }

    /// A float.
    ///
    /// # Errors
    /// [`BadContent`] at the end.
    pub fn float(&mut self) -> Result<f64, BadContent> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(BadContent)?;
        self.0 = rest;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    /// An optional float.
    ///
    /// # Errors
    /// [`BadContent`] at the end or for another mark than 0 and 1.
    pub fn optional_float(&mut self) -> Result<Option<f64>, BadContent> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.float().map(Some),
            _ => Err(BadContent),
        }
    }

    /// An optional time.
    ///
    /// # Errors
    /// [`BadContent`] at the end or for another mark than 0 and 1.
    pub fn optional_time(&mut self) -> Result<Option<Timestamp>, BadContent> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.int().map(|time| Some(Timestamp(time))),
            _ => Err(BadContent),
        }
    }

    /// The end of the frame.
    ///
    /// # Errors
    /// [`BadContent`] when bytes are left.
    pub fn end(&self) -> Result<(), BadContent> {
        if self.0.is_empty() { Ok(()) } else { Err(BadContent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_integer_has_more_than_64_bits() {
        let of = |last: u8| Reader(&[&[0xff; 9][..], &[last]].concat()).uint();
        assert_eq!((of(1), of(2)), (Ok(u64::MAX), Err(BadContent)));
        let padded = [&[0x80; 9][..], &[0]].concat();
        assert_eq!(Reader(&padded).uint(), Ok(0));
    }

    #[test]
    fn integers_of_any_length_read_back_whatever_follows() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1_u64 << bits) - 1, u64::MAX >> bits, 0x0123_4567_89ab_cdef >> bits]
            {
                for behind in [&[][..], &[0x80; 9], &[0x7f; 3], &[0xff]] {
                    let mut written = Writer::default();
                    written.uint(value);
                    let bytes = [&written.0, behind].concat();
                    let mut reader = Reader(&bytes);
                    assert_eq!(
                        (reader.uint(), reader.0),
                        (Ok(value), behind),
                        "{value:#x} before {behind:?}"
                    );
                }
            }
        }
        assert_eq!(Reader(&[0x80; 7]).uint(), Err(BadContent));
        assert_eq!(Reader(&[0x80; 8]).uint(), Err(BadContent));
        assert_eq!(Reader(&[0x81, 0x80, 0]).uint(), Ok(1), "longer than it needs to be");
    }

    #[test]
    fn what_is_left_over_is_no_content() {
        let mut input = Reader(&[1, 2]);
        assert_eq!((input.uint(), input.end()), (Ok(1), Err(BadContent)));
        assert_eq!((input.uint(), input.end()), (Ok(2), Ok(())));
    }

    proptest! {
        #[test]
        fn integers_read_back(a in any::<u64>(), b in any::<i64>(), text in ".{0,40}") {
            let mut writer = Writer::default();
            writer.uint(a);
            writer.int(b);
            writer.text(&text);
            let mut reader = Reader(&writer.0);
            prop_assert_eq!(reader.uint(), Ok(a));
            prop_assert_eq!(reader.int(), Ok(b));
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            prop_assert!(reader.end().is_ok());
        }

        #[test]
        fn no_bytes_panic_or_allocate(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader(&bytes);
            while reader.bytes().is_ok() {}
        }
    }
}
