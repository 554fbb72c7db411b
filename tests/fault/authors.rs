//! Who writes the log files, and what of it has to be found.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use picket_tests::harness::{Corpus, LogFile, Random, Row};
use shared::identity::{Epoch, EventId, Lane};

/// Long lines fill frames by size, as a burst does; so long is one.
const LONG_LINE_BYTES: usize = 8 << 10;
/// More than one frame of them.
const LONG_LINES: u64 = 40;

/// A file between two rotations: the author's name, and how often it had been rotated before.
type Generation = (String, usize);

/// Writes one log file with numbered lines of real shapes and rotates it.
pub struct Author {
    name: String,
    log: LogFile,
    corpus: Corpus,
    /// Lines, by generation.
    written: Vec<Vec<Vec<u8>>>,
    /// Some line of the file as it is now has been delivered: its checkpoint is on disk, so that it is found under any name.
    is_known: bool,
}

impl Author {
    /// Writes `<name>.log` in `folder`.
    pub fn new(folder: &Path, name: &str, seed: u64) -> anyhow::Result<Self> {
        let log = LogFile::open(&folder.join(format!("{name}.log")))?;
        Ok(Self { name: name.to_owned(), log, corpus: Corpus::new(seed), written: vec![Vec::new()], is_known: false })
    }

    /// How many lines it has written.
    pub fn lines(&self) -> usize {
        self.written.iter().map(Vec::len).sum()
    }

    /// What it wrote has arrived: the file may be rotated.
    pub fn delivered(&mut self) {
        self.is_known = true;
    }

    /// The agent was put back to a time before this file: were it renamed now, nobody would know it under its new name.
    pub fn forgotten(&mut self) {
        self.is_known = false;
    }

    /// A few lines in pieces, now and then a frame full of long ones, now and then across a rotation.
    pub fn write(&mut self, random: &mut Random) -> anyhow::Result<()> {
        if random.one_in(32) {
            return self.write_long(LONG_LINES, LONG_LINE_BYTES, random);
        }
        let count = 1 + random.below(12);
        if self.is_known && random.one_in(8) {
            let split = usize::try_from(random.below(count))?;
            let mut lines = self.lines_of(split + 1);
            self.written.push(Vec::new());
            lines.append(&mut self.lines_of(usize::try_from(count)?));
            self.is_known = false;
            return self.log.write_across_a_rotation(&lines, split, random);
        }
        let lines = self.lines_of(usize::try_from(count)?);
        self.log.write_in_pieces(&lines, random)
    }

    /// `count` lines of `bytes` random printable characters, which hardly compress.
    pub fn write_long(&mut self, count: u64, bytes: usize, random: &mut Random) -> anyhow::Result<()> {
        let line = |random: &mut Random| (0..bytes).map(|_| b'!' + u8::try_from(random.below(90)).unwrap()).collect();
        let lines: Vec<Vec<u8>> = (0..count).map(|_| line(random)).collect();
        let lines = self.number(lines);
        self.log.write_lines(&lines)
    }

    fn lines_of(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        (0..count).for_each(|_| self.corpus.line(&mut bytes));
        self.number(bytes.split(|byte| *byte == b'\n').take(count).map(<[u8]>::to_vec).collect())
    }

    /// Ends each line with its place, ` #<name>.<generation>.<serial>`, and writes it down.
    fn number(&mut self, mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let generation = self.written.len() - 1;
        for line in &mut lines {
            let serial = self.written[generation].len();
            line.extend_from_slice(format!(" #{}.{generation}.{serial}", self.name).as_bytes());
            self.written[generation].push(line.clone());
        }
        lines
    }
}

/// The generation and the serial that a line says it has.
fn place_of(line: &[u8]) -> Option<(Generation, u64)> {
    let at = line.windows(2).rposition(|two| two == b" #")?;
    let place = std::str::from_utf8(&line[at + 2..]).ok()?;
    let mut parts = place.rsplitn(3, '.');
    let (serial, generation, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(((name.to_owned(), generation.parse().ok()?), serial.parse().ok()?))
}

/// What the lake has of each generation, in the order of the record numbers of each epoch.
#[derive(Default)]
pub struct Found {
    files: BTreeMap<Generation, BTreeMap<(Epoch, u64), Vec<u8>>>,
    epochs: BTreeMap<Lane, BTreeSet<Epoch>>,
    places: HashSet<(Generation, u64)>,
}

impl Found {
    /// Takes a row; only lines of authors count.
    ///
    /// # Panics
    /// Its id is none, or another event has it.
    #[track_caller]
    pub fn take(&mut self, row: Row) {
        let id: EventId = row.uid.parse().expect("metadata.uid is an event id");
        let Some((generation, serial)) = place_of(&row.raw_data) else { return };
        self.epochs.entry(id.chain.lane).or_default().insert(id.chain.epoch);
        self.places.insert((generation.clone(), serial));
        let twice = self.files.entry(generation).or_default().insert((id.chain.epoch, id.record), row.raw_data);
        assert!(twice.is_none(), "two events have the id {}", row.uid);
    }

    /// How many distinct lines of authors there are.
    pub fn distinct(&self) -> usize {
        self.places.len()
    }

    fn lines(&self, author: &Author, generation: usize) -> Vec<&[u8]> {
        let found = self.files.get(&(author.name.clone(), generation));
        found.into_iter().flat_map(BTreeMap::values).map(Vec::as_slice).collect()
    }

    /// Each line once, byte for byte, in the order of its file, and no lane has begun a second epoch.
    #[track_caller]
    pub fn assert_exactly(&self, authors: &[Author]) {
        let mut expected = 0;
        for author in authors {
            for (number, written) in author.written.iter().enumerate() {
                let name = format!("{}.{number}", author.name);
                expected += usize::from(!written.is_empty());
                assert_same(&name, &self.lines(author, number), written);
            }
        }
        assert_eq!(self.files.len(), expected, "files that nobody wrote: {:?}", self.files.keys());
        for (lane, epochs) in &self.epochs {
            assert_eq!(epochs.len(), 1, "lane {lane} began an epoch without a reason: {epochs:?}");
        }
    }

    /// Each line at least once, and nothing that was not written: what a fork promises. How many came more than once.
    #[track_caller]
    pub fn assert_nothing_lost(&self, authors: &[Author]) -> usize {
        let mut doubled = 0;
        for author in authors {
            for (number, written) in author.written.iter().enumerate() {
                let mut counts: BTreeMap<&[u8], usize> = written.iter().map(|line| (line.as_slice(), 0)).collect();
                for line in self.lines(author, number) {
                    let count = counts.get_mut(line);
                    *count.unwrap_or_else(|| panic!("nobody wrote `{}`", shown(Some(line)))) += 1;
                }
                let lost: Vec<_> = counts.iter().filter(|(_, count)| **count == 0).collect();
                let first = shown(lost.first().map(|(line, _)| **line));
                assert!(lost.is_empty(), "{}.{number}: {} lines are lost, e.g. `{first}`", author.name, lost.len());
                doubled += counts.values().filter(|count| **count > 1).count();
            }
        }
        doubled
    }
}

/// The end of a line, where its place stands.
fn shown(line: Option<&[u8]>) -> String {
    line.map_or("nothing".to_owned(), |line| {
        String::from_utf8_lossy(&line[line.len().saturating_sub(60)..]).into_owned()
    })
}

/// Names what differs: thousands of lines in an assertion help nobody.
#[track_caller]
fn assert_same(name: &str, found: &[&[u8]], written: &[Vec<u8>]) {
    let (found_at, written_at) = (|at: usize| found.get(at).copied(), |at: usize| written.get(at).map(Vec::as_slice));
    let Some(at) = (0..found.len().max(written.len())).find(|at| found_at(*at) != written_at(*at)) else { return };
    let mut counts: BTreeMap<&[u8], i64> = BTreeMap::new();
    written.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    found.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    let lost = counts.values().filter(|count| **count > 0).count();
    let extra = counts.values().filter(|count| **count < 0).count();
    panic!(
        "{name}: {} lines were written, {} found, {lost} lost, {extra} doubled or foreign; at {at} stands `{}`, written was `{}`",
        written.len(),
        found.len(),
        shown(found_at(at)),
        shown(written_at(at)),
    );
}
