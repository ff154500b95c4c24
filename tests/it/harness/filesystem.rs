//! File systems of a test's own: one whose power can be cut, one that can be filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Loses what was not synced, as a machine does that loses power: EXT4_IOC_SHUTDOWN with
/// EXT4_GOING_FLAGS_NOLOGFLUSH (linux, fs/ext4/ext4.h). Rust has no ioctl without `unsafe`.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
const BALLAST: &str = "ballast";
const BLOCK: usize = 64 * 1024;

/// A mounted file system; it is unmounted with the test.
pub struct Filesystem {
    image: Option<PathBuf>,
    place: PathBuf,
}

impl Filesystem {
    /// An ext4 in a file beside `place`, mounted there; `None`, with the reason printed, where that
    /// cannot be done.
    pub fn ext4(place: &Path, mebibytes: u64) -> Option<Self> {
        let image = place.with_extension("image");
        let file = fs::File::create(&image).unwrap();
        file.set_len(mebibytes << 20).unwrap();
        fs::create_dir_all(place).unwrap();
        let disk = Self { image: Some(image.clone()), place: place.to_owned() };
        tried("mkfs.ext4", &["-q", "-F", "-m", "0", &shown(&image)])?;
        disk.mount()?;
        tried("python3", &["-c", "import fcntl"])?;
        Some(disk)
    }

    /// A file system in memory of so many mebibytes; `None`, with the reason printed, where that
    /// cannot be done.
    pub fn memory(place: &Path, mebibytes: u64) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        let size = format!("size={mebibytes}m");
        tried("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &shown(place)])?;
        Some(Self { image: None, place: place.to_owned() })
    }

    /// Cuts the power: from now on nothing reaches the disk, and nothing can be read or written.
    #[track_caller]
    pub fn cut_power(&self) {
        tried("python3", &["-c", SHUTDOWN, &shown(&self.place)]).expect("the power is cut");
    }

    /// Puts the power back: what reached the disk is there again.
    #[track_caller]
    pub fn restore_power(&self) {
        self.unmount().expect("unmounted");
        self.mount().expect("mounted again");
    }

    /// Fills it to the last byte, and goes on taking what becomes free, until [`Self::empty`].
    #[track_caller]
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = fs::File::options().create(true).append(true).open(self.ballast()).unwrap();
        let zeros = vec![0_u8; BLOCK];
        for length in [BLOCK, 4 * 1024, 512, 1] {
            while let Ok(written) = ballast.write(&zeros[..length]) {
                assert!(written > 0, "a write is an error or some bytes");
            }
        }
        let _ = ballast.sync_all();
    }

    /// Removes what filled it.
    #[track_caller]
    pub fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.place.join(BALLAST)
    }

    fn mount(&self) -> Option<()> {
        let image = self.image.as_ref().expect("an image");
        tried("mount", &["-o", "loop", &shown(image), &shown(&self.place)])
    }

    fn unmount(&self) -> Option<()> {
        tried("umount", &[&shown(&self.place)])
    }
}

impl Drop for Filesystem {
    fn drop(&mut self) {
        // Lazily: a service that still runs must not keep it for ever.
        let _ = Command::new("umount").arg("-l").arg(&self.place).output();
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Runs a command that may be refused: not every machine lets a test mount.
fn tried(program: &str, arguments: &[&str]) -> Option<()> {
    let why = match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => return Some(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    println!("skipped: {program} {arguments:?}: {why}");
    None
}
