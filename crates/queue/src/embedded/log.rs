//! Whether the log beside the file, as a process left it, was damaged since.
//!
//! SQLite ends its log at the first frame that is not whole, since that is where a crash ends it, and says nothing. But
//! each commit is on disk before the next one is written: where many commits follow a broken frame, it was no crash that
//! broke it, and accepted jobs would be lost in silence. The format is that of <https://www.sqlite.org/fileformat2.html>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4096;
/// Commits behind a broken frame that crashes may leave: one each, until they are overwritten.
const FROM_CRASHES: u32 = 8;

/// True without a log.
pub(super) fn is_whole(path: &Path) -> io::Result<bool> {
    let mut log = match File::open(path) {
        Ok(log) if log.metadata()?.len() >= (HEADER + FRAME_HEADER + PAGE) as u64 => BufReader::new(log),
        Ok(_) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut header = [0; HEADER];
    log.read_exact(&mut header)?;
    let Some(mut sums) = Sums::begin(&header) else { return Ok(false) };
    let (salt, mut frame) = (part(&header, 16, 8), [0; FRAME_HEADER + PAGE]);
    let (mut broken, mut behind) = (false, 0);
    while read_frame(&mut log, &mut frame)? {
        let ours = part(&frame, 8, 8) == salt;
        if !broken {
            sums.add(part(&frame, 0, 8));
            sums.add(part(&frame, FRAME_HEADER, PAGE));
            broken = !ours || sums.bytes() != part(&frame, 16, 8);
        } else if ours && part(&frame, 4, 4) != [0; 4] {
            behind += 1;
        }
    }
    Ok(behind < FROM_CRASHES)
}

fn read_frame(log: &mut impl Read, frame: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(frame) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn part(bytes: &[u8], at: usize, many: usize) -> &[u8] {
    bytes.get(at..at + many).unwrap_or_default()
}

/// The running checksum of a log.
struct Sums {
    little_endian: bool,
    first: u32,
    second: u32,
}

impl Sums {
    /// `None` if the header is not whole.
    fn begin(header: &[u8; HEADER]) -> Option<Self> {
        let little_endian = match part(header, 0, 4) {
            [0x37, 0x7F, 0x06, 0x82] => true,
            [0x37, 0x7F, 0x06, 0x83] => false,
            _ => return None,
        };
        let mut sums = Self { little_endian, first: 0, second: 0 };
        sums.add(part(header, 0, 24));
        (sums.bytes() == part(header, 24, 8)).then_some(sums)
    }

    fn add(&mut self, bytes: &[u8]) {
        let word = |word: [u8; 4]| {
            if self.little_endian { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }
        };
        for pair in bytes.as_chunks::<4>().0.as_chunks::<2>().0 {
            self.first = self.first.wrapping_add(word(pair[0])).wrapping_add(self.second);
            self.second = self.second.wrapping_add(word(pair[1])).wrapping_add(self.first);
        }
    }

    fn bytes(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        let (first, second) = bytes.split_at_mut(4);
        first.copy_from_slice(&self.first.to_be_bytes());
        second.copy_from_slice(&self.second.to_be_bytes());
        bytes
    }
}
