//! The machine, in words, and what else it is doing.

use std::io::Write as _;
use std::time::Instant;

/// Cores and memory.
pub fn words() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total_kib = kib(&memory, "MemTotal:").unwrap_or(0.0);
    format!("{cores} cores, {:.0} GiB", total_kib / 1_048_576.0)
}

/// How long a sync of 4 KiB takes where the data folders are, the median of 200: what every
/// acknowledgement waits for. Next to nothing on a file system in memory.
pub fn sync_ms() -> f64 {
    let mut file = tempfile::tempfile().expect("a temporary file");
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            file.write_all(&[0x5a; 4_096]).expect("the disk has room");
            let began = Instant::now();
            file.sync_data().expect("the disk syncs");
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The load average over the last minute; on a quiet machine below 0.5.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// A line `<name> <number> kB` of a file of `/proc`.
pub fn kib(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().trim_end_matches("kB").trim().parse().ok())
}

/// What `run` says, and the CPU seconds, user and system, of the children that it waited for.
pub fn with_cpu_seconds<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let before = children_cpu_seconds();
    let said = run();
    (said, children_cpu_seconds() - before)
}

/// CPU seconds of all children that were waited for.
fn children_cpu_seconds() -> f64 {
    /// Ticks of these counters in a second: USER_HZ, 100 on every Linux since 2.6.
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux has /proc/self/stat");
    // The second field, the program's name in parentheses, may contain spaces; cutime and cstime
    // are fields 16 and 17 (proc_pid_stat(5)).
    let (_, rest) = text.rsplit_once(')').expect("the name is in parentheses");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<f64>().expect("a number of ticks");
    (ticks(16) + ticks(17)) / TICKS
}

/// CPU nanoseconds of the calling thread (first field of schedstat, Documentation/scheduler of
/// Linux). The kernel adds them up at each tick of its clock, every few milliseconds, and whenever the
/// scheduler is called: so it is called first.
pub fn thread_cpu_ns() -> u64 {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has schedstat");
    text.split_whitespace().next().and_then(|field| field.parse().ok()).expect("a number of nanoseconds")
}
