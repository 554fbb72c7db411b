//! IEEE 802.11 data frames, bare or behind radiotap: as far as they are not encrypted.

use super::super::Macs;
use super::walk::{Next, Walk};

/// Bits of the frame control field (IEEE 802.11-2020 §9.2.4.1), little-endian.
mod control {
    pub const TYPE: u16 = 0x000c;
    pub const TYPE_DATA: u16 = 0x0008;
    pub const NO_DATA: u16 = 0x0040;
    pub const QOS: u16 = 0x0080;
    pub const TO_DS: u16 = 0x0100;
    pub const FROM_DS: u16 = 0x0200;
    pub const MORE_FRAGMENTS: u16 = 0x0400;
    pub const PROTECTED: u16 = 0x4000;
    pub const ORDER: u16 = 0x8000;
}

impl Walk<'_> {
    /// Radiotap (<https://www.radiotap.org>): its length is all that is looked at.
    pub fn radiotap(&mut self) -> Next {
        let Some(&[version, _, low, high]) = self.take::<4>() else { return self.end() };
        let Some(more) = usize::from(u16::from_le_bytes([low, high])).checked_sub(4) else { return self.senseless() };
        if version != 0 {
            return self.senseless();
        }
        match self.skip(more) {
            Some(_) => self.wireless(),
            None => self.end(),
        }
    }

    /// An IEEE 802.11 frame: data that are whole and not encrypted are followed.
    pub fn wireless(&mut self) -> Next {
        let Some(&[c0, c1, _, _]) = self.take::<4>() else { return self.end() };
        let control = u16::from_le_bytes([c0, c1]);
        if control & control::TYPE != control::TYPE_DATA || control & control::NO_DATA != 0 {
            return self.unknown();
        }
        let (Some(&one), Some(&two), Some(&three)) = (self.take::<6>(), self.take::<6>(), self.take::<6>()) else {
            return self.end();
        };
        let Some(&sequence) = self.take::<2>() else { return self.end() };
        let (source, destination) = match (control & control::TO_DS != 0, control & control::FROM_DS != 0) {
            (false, false) => (two, one),
            (true, false) => (two, three),
            (false, true) => (three, one),
            (true, true) => match self.take::<6>() {
                Some(&four) => (four, three),
                None => return self.end(),
            },
        };
        self.packet.link.macs = Some(Macs { source, destination });
        let whole = control & control::MORE_FRAGMENTS == 0 && u16::from_le_bytes(sequence).is_multiple_of(16);
        if control & control::PROTECTED != 0 || !whole {
            return self.unknown();
        }
        if control & control::QOS != 0 {
            let Some(&[qos, _]) = self.take::<2>() else { return self.end() };
            if control & control::ORDER != 0 && self.take::<4>().is_none() {
                return self.end();
            }
            if qos & 0x80 != 0 {
                return self.unknown(); // several frames in one
            }
        }
        self.logical_link()
    }
}
