//! `picket-bench matcher`: what a predicate costs.
//!
//! In: predicates and events of a seed; SigmaHQ's rules and the golden real events, where the corpora are. Out: nanoseconds an
//! event with 10 and with 1,000 predicates of disjoint texts, and events a second with all of SigmaHQ's rules, on one core.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregator::event::Event;
use aggregator::matcher::{Json, Matcher, Predicate, Scratch};
use aggregator::schema::{Attribute, Class};
use anyhow::{Context, bail};
use picket_tests::harness::{Random, sigma};
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use crate::report::{Report, median};
use crate::{folder, known, option};

/// One in so many events has a text that a predicate asks for.
const HIT_ONE_IN: u64 = 1_000;
const EVENTS: usize = 20_000;
/// How long one measurement takes at least.
const MEASURE: Duration = Duration::from_millis(400);

/// What is measured.
pub struct Plan {
    runs: u64,
    seed: u64,
}

impl Plan {
    /// Reads the options.
    pub fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        known(arguments, &["--runs", "--seed"])?;
        Ok(Self { runs: option(arguments, "--runs", 5)?, seed: option(arguments, "--seed", 1)? })
    }
}

/// Measures and prints.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let mut report = Report::default();
    let mut random = Random::new(plan.seed);
    let texts: Vec<String> = (0..1_000).map(|number| format!("{}{number:03}", word(&mut random, 8))).collect();
    let (few, many) = (disjoint(texts.get(..10).unwrap_or_default())?, disjoint(&texts)?);
    let messages = messages(&mut random, &texts);
    let events: Vec<Event<'_>> = messages.iter().map(|message| event(message)).collect();
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs.max(1) {
        of_few.push(nanoseconds(&few, &events));
        of_many.push(nanoseconds(&many, &events));
    }
    let (of_few, of_many) = (median(of_few), median(of_many));
    report.add("10 predicates, 200-byte events", of_few, "ns/event");
    report.add("1,000 predicates, 200-byte events", of_many, "ns/event");
    report.add("1,000 beside 10 (bound: 2)", of_few.zip(of_many).map(|(few, many)| many / few), "times");
    sigma_rules(plan, &mut report)?;
    report.print(&folder("matcher")?.join("matcher.json"))
}

/// All of SigmaHQ's rules on the golden real events.
fn sigma_rules(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let Some((rules, _)) = sigma::loaded() else { return Ok(()) };
    let count = rules.len();
    let begun = Instant::now();
    let matcher = Matcher::new(rules.iter().map(|rule| rule.predicate.clone()).collect())?;
    let compiled = begun.elapsed();
    for name in ["real", "rule_derived"] {
        let golden = sigma::golden(name).context("golden events stand beside the rules")?;
        let views: Vec<Json<'_>> = golden.iter().map(|event| Json::new(&event.event, Some(&event.source))).collect();
        let (mut scratch, mut hits) = (Scratch::default(), Vec::new());
        let mut rates = Vec::new();
        for _ in 0..plan.runs.max(1) {
            let (begun, mut events) = (Instant::now(), 0_u32);
            while begun.elapsed() < MEASURE {
                for view in &views {
                    matcher.matches(view, &mut scratch, &mut hits);
                    black_box(&hits);
                    events += 1;
                }
            }
            rates.push(f64::from(events) / begun.elapsed().as_secs_f64());
        }
        report.add(
            format!("{count} Sigma rules, golden {name} events (bound of real: 50,000)"),
            median(rates),
            "events/s",
        );
    }
    report.add(format!("{count} Sigma rules compiled"), Some(compiled.as_secs_f64() * 1e3), "ms");
    let unfilterable = matcher.unfilterable().iter().filter_map(|number| rules.get(*number));
    println!("without a text to find their events by:");
    for rule in unfilterable {
        println!("  {} {} ({})", rule.id, rule.title, rule.predicate.source.words().join("/"));
    }
    Ok(())
}

fn nanoseconds(matcher: &Matcher, events: &[Event<'_>]) -> f64 {
    let (mut scratch, mut hits) = (Scratch::default(), Vec::new());
    let (begun, mut held) = (Instant::now(), 0_u32);
    while begun.elapsed() < MEASURE {
        for event in events {
            matcher.matches(event, &mut scratch, &mut hits);
            black_box(&hits);
            held += 1;
        }
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(held)
}

/// A predicate for each text.
fn disjoint(texts: &[String]) -> anyhow::Result<Matcher> {
    let mut predicates = Vec::with_capacity(texts.len());
    for text in texts {
        let node = shared::yaml::tree::parse(&Arc::from("bench"), format!("message|contains: {text}").as_bytes())?;
        match Predicate::parse(&node) {
            Ok(predicate) => predicates.push(predicate),
            Err(wrong) => bail!("{wrong:?}"),
        }
    }
    Ok(Matcher::new(predicates)?)
}

/// Messages of 200 bytes; one in [`HIT_ONE_IN`] holds one of the first ten texts.
fn messages(random: &mut Random, texts: &[String]) -> Vec<String> {
    let mut messages = Vec::with_capacity(EVENTS);
    for _ in 0..EVENTS {
        let mut message = String::with_capacity(240);
        if random.below(HIT_ONE_IN) == 0 {
            let chosen = usize::try_from(random.below(10)).unwrap_or_default();
            message.extend(texts.get(chosen).map(String::as_str));
        }
        while message.len() < 200 {
            let size = random.between(2, 9);
            message.push(' ');
            message.push_str(&word(random, size));
        }
        message.truncate(200);
        messages.push(message);
    }
    messages
}

fn word(random: &mut Random, size: u64) -> String {
    (0..size).filter_map(|_| char::from_digit(u32::try_from(random.below(26)).unwrap_or_default() + 10, 36)).collect()
}

/// An event as a line of a log makes it.
fn event(message: &str) -> Event<'_> {
    let chain = ChainId { agent: AgentId::default(), lane: Lane::Normal, epoch: Epoch(1) };
    let mut event = Event::new(EventId { chain, record: 1, part: 0 }, Timestamp::from_ms(5), Timestamp(0));
    event.class = Class::Authentication;
    event.push(Attribute::Message, message);
    event.push(Attribute::RawData, message);
    event.push(Attribute::UserName, "root");
    event.push(Attribute::SrcEndpointIp, "192.0.2.7");
    event.push(Attribute::SrcEndpointPort, 22);
    event
}
