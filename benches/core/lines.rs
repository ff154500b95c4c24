//! A file's lines, one after the other in the same buffer, as `sereno replay` reads them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Calls `take` with every line, its end cut off; says how many there were.
pub fn each(file: &Path, mut take: impl FnMut(&[u8])) -> u64 {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(file).expect("the load is there"));
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).expect("the load is readable") == 0 {
            return number;
        }
        number += 1;
        take(line.strip_suffix(b"\n").unwrap_or(&line));
    }
}
