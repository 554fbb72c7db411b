//! Promise: what packets take has a bound, and what was given up for it is counted.

use agent::source::packet::decode::LinkType;
use agent::source::packet::flow::Settings;
use agent::source::packet::meter::Meter;
use shared::time::Timestamp;

/// A SYN in raw IPv4 from the host and port that a number says.
fn syn(number: u32) -> Vec<u8> {
    let [_, a, b, c] = number.to_be_bytes();
    let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, a, b, c, 192, 0, 2, 1];
    bytes.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn flood_of_a_million_flows_keeps_the_table_and_each_eviction_is_counted() {
    const FLOWS: u32 = 1_000_000;
    let most = Settings::default().flows_max;
    let mut meter = Meter::new(Settings::default());
    let (mut told, mut evicted, mut untold) = (0_u64, 0, 0);
    for number in 0..FLOWS {
        let at = Timestamp(i64::from(number) * 10_000);
        meter.frame(LinkType::RAW, at, &syn(number), 54, &mut |_| told += 1);
        assert!(meter.flows() <= most);
        if number % 100_000 == 0 {
            let taken = meter.take_evicted();
            (evicted, untold) = (evicted + taken.flows, untold + taken.untold);
        }
    }
    let taken = meter.take_evicted();
    (evicted, untold) = (evicted + taken.flows, untold + taken.untold);
    let kept = u64::try_from(meter.flows()).expect("a count");
    assert_eq!(kept + evicted, u64::from(FLOWS), "every flow is in the table or was counted");
    assert_eq!((evicted, told), (untold, 0), "questions without an answer are counted and not told");
    meter.finish(&mut |_| told += 1);
    assert_eq!(told, kept, "what is left is told at the end");
}
