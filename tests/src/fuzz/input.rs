//! Bytes read as numbers and pieces, so that a fuzzer's bytes become steps and fields. What is not there reads as zero.

/// What is left of the bytes.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.iter_mut().zip(self.take(N)).for_each(|(to, from)| *to = *from);
        bytes
    }

    pub fn u8(&mut self) -> u8 {
        let [byte] = self.number();
        byte
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.number())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.number())
    }

    /// A number that is mostly small, and at times at the other end.
    pub fn count(&mut self) -> u64 {
        match self.u8() {
            255 => self.u64(),
            254 => u64::MAX,
            small => u64::from(small),
        }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u8()) % bound.max(1)
    }

    /// A piece with its length before it.
    pub fn piece(&mut self) -> &'a [u8] {
        let len = usize::from(self.u16());
        self.take(len)
    }
}

/// The inverse of [`Input::piece`].
pub fn piece(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&len.to_le_bytes()[..], bytes].concat()
}
