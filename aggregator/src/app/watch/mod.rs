//! Watching who comes: a thread beside the sinks follows the journal, and what it notices is journaled as notices.
//!
//! In: the frames of the agents, as they are journaled. Out: a notice when an agent, or one of its sources, goes quiet against its own
//! habit ([`habit`]) and when it comes again, and one an hour while an agent's clock does not agree with ours ([`skew`]).
//! What went before is in the journal: at a start the last [`PRIMED`] frames are read for the habits. A silence is counted
//! from the start then at the earliest, since nobody listened before, and is told once more.
//!
//! Bounds: [`WATCHED_MAX`] agents and sources, those that come first; [`TOLD_MAX`] silences a look, the others at the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use shared::batch::front::context_of;
use shared::frame::{Frame, FrameKind, Opener};
use shared::identity::AgentId;
use shared::record::Value;
use shared::stop::{Stage, Stop};
use shared::time::{Clock, Timestamp};

use crate::journal::{JournalHandle, JournalReader, Journaled, OwnRecord};
use habit::{Habit, Silence};
use skew::{Apart, Skew};

mod habit;
mod skew;

/// Frames that are read for the habits at a start.
const PRIMED: u64 = 20_000;
/// Most agents and sources that are watched, some 300 bytes each.
const WATCHED_MAX: usize = 100_000;
/// Most silences that are told at one look.
const TOLD_MAX: usize = 100;
/// Who went silent is looked for this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// What has not come for so long is forgotten: it was taken out of service.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 86_400);

/// An agent, or one of its sources by name.
type Watched = (AgentId, Option<Arc<str>>);

/// What was noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Noticed {
    Silent(Watched, Silence),
    Back(Watched, Silence),
    Skewed(AgentId, Apart),
}

/// Everything that is watched. Pure.
#[derive(Default)]
struct Watch {
    habits: HashMap<Watched, Habit>,
    clocks: HashMap<AgentId, Skew>,
    /// There was no room for something.
    full: bool,
}

impl Watch {
    /// A frame of an agent came, with records of `sources`.
    fn frame(&mut self, agent: AgentId, sources: &[&str], (sealed_at, at): (Timestamp, Timestamp)) -> Vec<Noticed> {
        let mut noticed = Vec::new();
        let watched = [None].into_iter().chain(sources.iter().filter(|name| !name.is_empty()).copied().map(Some));
        for source in watched {
            let key: Watched = (agent, source.map(Arc::from));
            if let Some(habit) = self.habits.get_mut(&key) {
                noticed.extend(habit.came(at).map(|silence| Noticed::Back(key, silence)));
            } else if self.habits.len() < WATCHED_MAX {
                self.habits.insert(key, Habit::new(at));
            } else {
                self.full = true;
            }
        }
        if self.clocks.len() < WATCHED_MAX || self.clocks.contains_key(&agent) {
            let skew = self.clocks.entry(agent).or_insert_with(|| Skew::new(at));
            noticed.extend(skew.frame(sealed_at, at).map(|apart| Noticed::Skewed(agent, apart)));
        }
        noticed
    }

    /// Who went silent by `now`. Of an agent that is silent its sources are not told too.
    fn look(&mut self, now: Timestamp) -> Vec<Noticed> {
        self.habits.retain(|_, habit| habit::between(habit.last(), now) < FORGOTTEN_AFTER);
        let (mut noticed, mut silent) = (Vec::new(), HashSet::new());
        for of_agents in [true, false] {
            for (key, habit) in self.habits.iter_mut().filter(|((_, source), _)| source.is_none() == of_agents) {
                let whole = !of_agents && silent.contains(&key.0);
                if !whole && noticed.len() < TOLD_MAX {
                    noticed.extend(habit.falls_silent(now).map(|silence| Noticed::Silent(key.clone(), silence)));
                }
                if of_agents && habit.is_silent() {
                    silent.insert(key.0);
                }
            }
        }
        noticed
    }

    /// Nobody listened until now.
    fn excuse(&mut self, until: Timestamp) {
        self.habits.values_mut().for_each(|habit| habit.excuse(until));
    }
}

/// What a host calls itself; none where its agent is revoked.
pub(super) type Names = Box<dyn Fn(AgentId) -> Option<String> + Send>;

/// The thread.
pub(super) struct WatchThread(JoinHandle<()>);

struct Watcher {
    journal: JournalHandle,
    reader: JournalReader,
    names: Names,
    stop: Stop,
    clock: Clock,
    watch: Watch,
    opener: Opener,
    /// Position of the first frame of this run; what lies before it was noticed then.
    first: u64,
    primed: bool,
    said_full: bool,
}

impl WatchThread {
    /// Starts watching.
    ///
    /// # Errors
    /// The system gives no thread, or the journal cannot be read.
    pub(super) fn start(journal: JournalHandle, names: Names, stop: Stop, clock: Clock) -> std::io::Result<Self> {
        let mut watcher = Watcher::new(journal, names, stop.clone(), clock)?;
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            while !stop.requested() {
                if let Err(error) = watcher.turn() {
                    tracing::error!(%error, "the journal cannot be followed: nobody who falls silent is noticed until the next start");
                    return;
                }
                let _ = stop.wait_timeout(Stage::Draining, LOOK_INTERVAL);
            }
        })?;
        Ok(Self(thread))
    }

    /// Waits for the end.
    pub(super) fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread that watches who falls silent ended badly");
        }
    }
}

impl Watcher {
    fn new(journal: JournalHandle, names: Names, stop: Stop, clock: Clock) -> std::io::Result<Self> {
        let first = journal.status().borrow().position;
        let reader = JournalReader::after(journal.dir(), first.saturating_sub(PRIMED))?;
        let (watch, opener) = (Watch::default(), Opener::default());
        Ok(Self { journal, reader, names, stop, clock, watch, opener, first, primed: false, said_full: false })
    }

    /// Reads what came, and looks who did not come.
    fn turn(&mut self) -> std::io::Result<()> {
        let limit = self.journal.status().borrow().offset;
        while let Some(journaled) = self.reader.next(limit)? {
            if self.stop.requested() {
                return Ok(());
            }
            let Journaled::Frame(wrap, frame) = journaled else { continue };
            let noticed = self.frame(&frame, wrap.received.at);
            if wrap.position >= self.first {
                self.say(noticed);
            }
        }
        let now = self.clock.now();
        if !self.primed {
            self.primed = true;
            self.watch.excuse(now);
        }
        let noticed = self.watch.look(now);
        self.say(noticed);
        if self.watch.full && !self.said_full {
            self.said_full = true;
            tracing::warn!("{WATCHED_MAX} agents and sources are watched for silence; further ones are not");
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame, at: Timestamp) -> Vec<Noticed> {
        let header = frame.header();
        if header.kind != FrameKind::Data || header.chain.agent == self.journal.aggregator() {
            return Vec::new();
        }
        let times = (header.sealed_at, at);
        let agent = header.chain.agent;
        let context = context_of(frame, &mut self.opener).unwrap_or_default();
        let sources: Vec<&str> = context.origins.iter().map(|origin| origin.source.as_str()).collect();
        self.watch.frame(agent, &sources, times)
    }

    fn say(&self, noticed: Vec<Noticed>) {
        for noticed in noticed {
            let agent = match &noticed {
                Noticed::Silent((agent, _), _) | Noticed::Back((agent, _), _) | Noticed::Skewed(agent, _) => *agent,
            };
            if let Some(hostname) = (self.names)(agent) {
                self.journal.say(record(&noticed, &hostname));
            }
        }
    }
}

/// What is journaled.
fn record(noticed: &Noticed, hostname: &str) -> OwnRecord {
    let text = |text: &str| Value::String(text.to_owned());
    let seconds = |length: Duration| Value::U64(length.as_secs());
    let who = |(agent, source): &Watched| {
        let host = if hostname.is_empty() { agent.to_string() } else { hostname.to_owned() };
        source.as_ref().map_or_else(|| host.clone(), |source| format!("source {source} of {host}"))
    };
    let of_silence = |silence: &Silence| {
        vec![
            ("since", Value::Time(silence.since)),
            ("seconds", seconds(silence.length)),
            ("usual_seconds_max", seconds(silence.limit)),
        ]
    };
    let (kind, severity, message, watched, mut fields) = match noticed {
        Noticed::Silent(watched, silence) => {
            let message = format!("{} has been silent for {} s", who(watched), silence.length.as_secs());
            ("silence", 3, message, watched.clone(), of_silence(silence))
        }
        Noticed::Back(watched, silence) => {
            let message = format!("{} came again after {} s", who(watched), silence.length.as_secs());
            ("silence_ended", 1, message, watched.clone(), of_silence(silence))
        }
        Noticed::Skewed(agent, apart) => {
            let watched = (*agent, None);
            let (direction, length, message) = match apart {
                Apart::Ahead(by) => {
                    ("ahead", *by, format!("the clock of {} is ahead by {} s", who(&watched), by.as_secs()))
                }
                Apart::Behind(by) => {
                    let why = format!("is behind by {} s, or its spool holds everything for as long", by.as_secs());
                    ("behind", *by, format!("the clock of {} {why}", who(&watched)))
                }
            };
            ("clock_skew", 3, message, watched, vec![("direction", text(direction)), ("seconds", seconds(length))])
        }
    };
    fields.push(("agent", text(&watched.0.to_string())));
    fields.extend((!hostname.is_empty()).then(|| ("hostname", text(hostname))));
    fields.extend(watched.1.map(|source| ("source", text(&source))));
    let mut record = vec![
        ("picket.record".to_owned(), text("notice")),
        ("notice".to_owned(), text(kind)),
        ("severity_id".to_owned(), Value::I64(severity)),
        ("message".to_owned(), Value::String(message)),
    ];
    record.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
    record
}

#[cfg(test)]
mod tests {
    use shared::time::ManualClock;

    use super::*;
    use crate::journal::offline::testing::Maker;
    use crate::journal::{JournalConfig, JournalRequest, JournalThread, Received};

    fn at(seconds: u64) -> Timestamp {
        Timestamp(0).plus(Duration::from_secs(seconds))
    }

    const WEB: AgentId = AgentId([1; 16]);

    #[test]
    fn source_that_goes_quiet_is_told_alone_and_once_and_its_return_too() {
        let mut watch = Watch::default();
        for second in (0..6_000).step_by(60) {
            let sources: &[&str] = if second < 3_000 { &["auth", "nginx"] } else { &["nginx"] };
            assert_eq!(watch.frame(WEB, sources, (at(second), at(second))), []);
            if second < 3_800 {
                assert_eq!(watch.look(at(second)), [], "{second}");
            }
        }
        let noticed = watch.look(at(6_000));
        let [Noticed::Silent((agent, Some(source)), silence)] = noticed.as_slice() else { panic!("{noticed:?}") };
        assert_eq!((*agent, source.as_ref(), silence.since), (WEB, "auth", at(2_940)));
        assert_eq!(watch.look(at(6_010)), []);
        let back = watch.frame(WEB, &["auth"], (at(6_020), at(6_020)));
        assert!(matches!(back.as_slice(), [Noticed::Back((WEB, Some(_)), _)]), "{back:?}");
    }

    #[test]
    fn what_is_journaled_names_host_source_and_time() {
        let silence = Silence { since: at(5), limit: Duration::from_secs(900), length: Duration::from_secs(1_000) };
        let record = record(&Noticed::Silent((WEB, Some("auth".into())), silence), "web-1");
        let field = |name: &str| record.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        assert_eq!(field("notice"), Some(Value::String("silence".to_owned())));
        assert_eq!(field("message"), Some(Value::String("source auth of web-1 has been silent for 1000 s".to_owned())));
        assert_eq!((field("since"), field("usual_seconds_max")), (Some(Value::Time(at(5))), Some(Value::U64(900))));
    }

    #[test]
    fn sources_beyond_the_bound_are_not_watched_and_those_before_stay() {
        let mut watch = Watch::default();
        for n in 0..=WATCHED_MAX {
            watch.frame(WEB, &[&n.to_string()], (at(0), at(0)));
        }
        assert_eq!((watch.habits.len(), watch.full), (WATCHED_MAX, true));
    }

    #[test]
    fn all_that_fall_silent_at_once_are_told_in_turns() {
        let mut watch = Watch::default();
        let names: Vec<String> = (0..250).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for second in (0..1_200).step_by(60) {
            watch.frame(WEB, &names, (at(second), at(second)));
        }
        for second in (1_200..5_000).step_by(60) {
            watch.frame(WEB, &[], (at(second), at(second)));
        }
        let told: Vec<usize> = (0..4).map(|n| watch.look(at(5_000 + n)).len()).collect();
        assert_eq!(told, [TOLD_MAX, TOLD_MAX, 50, 0]);
    }

    #[test]
    fn silence_and_a_clock_that_is_wrong_are_events_and_what_came_before_a_start_is_a_habit() {
        let mut maker = Maker::new("watch");
        let config = JournalConfig { dir: maker.dir.join("watched"), ..maker.config() };
        let clock = ManualClock::new(maker.now());
        let thread = JournalThread::start(config, "config".to_owned(), Clock::System).unwrap();
        let journal = thread.handle();
        let send = |maker: &mut Maker, ahead: i64| {
            let entries = vec![maker.entry(b"line")];
            let at = Timestamp(maker.now().0 - ahead * 1_000_000_000);
            let received = Received { at, peer: "192.0.2.7:5000".parse().unwrap(), serial: vec![7; 16] };
            let (done, told) = std::sync::mpsc::sync_channel(1);
            let done = Box::new(move || done.send(()).unwrap());
            assert!(journal.append(JournalRequest { entries, received, done }));
            told.recv().unwrap();
        };
        for _ in 0..20 {
            send(&mut maker, 0);
            maker.pass(Duration::from_secs(60));
            clock.advance(Duration::from_secs(60));
        }
        let names = Box::new(|_| Some("web-1".to_owned()));
        let mut watcher = Watcher::new(journal.clone(), names, Stop::new(), Clock::Manual(clock.clone())).unwrap();
        watcher.turn().unwrap();
        for time in [600, 400] {
            maker.pass(Duration::from_secs(time));
            clock.advance(Duration::from_secs(time));
            watcher.turn().unwrap();
        }
        for ahead in [0, 400] {
            let before = watcher.watch.clocks.clone();
            send(&mut maker, ahead);
            // The journal says what it has a moment after it is durable.
            let deadline = std::time::Instant::now() + Duration::from_secs(60);
            while watcher.watch.clocks == before {
                assert!(std::time::Instant::now() < deadline);
                watcher.turn().unwrap();
            }
        }
        thread.stop();
        let mut reader = JournalReader::after(journal.dir(), 0).unwrap();
        let mut said = Vec::new();
        while let Some(Journaled::Frame(wrap, frame)) = reader.next(u64::MAX).unwrap() {
            let mut interpreter = crate::pipeline::interpret::Interpreter::default();
            let emit = &mut |event: &mut crate::event::Event<'_>| {
                said.extend(event.text(crate::schema::Attribute::Message).map(str::to_owned));
                Ok::<_, std::convert::Infallible>(())
            };
            let Ok(_) = interpreter.frame(&wrap, &frame, Timestamp(0), emit);
        }
        said.retain(|text| text != "line");
        let expected = [
            "web-1 has been silent for 1000 s",
            "web-1 came again after 1001 s",
            "the clock of web-1 is ahead by 400 s",
        ];
        assert_eq!(said, expected);
    }
}
