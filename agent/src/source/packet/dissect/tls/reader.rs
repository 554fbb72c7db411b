//! A reader of big-endian fields: every step is total, a field that is not there is `None`.

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Everything that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    /// The next octet.
    pub fn u8(&mut self) -> Option<u8> {
        let (head, tail) = self.0.split_first()?;
        self.0 = tail;
        Some(*head)
    }

    /// The next two octets.
    pub fn u16(&mut self) -> Option<u16> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u16::from_be_bytes(*head))
    }

    /// The next three octets.
    pub fn u24(&mut self) -> Option<u32> {
        let (head, tail) = self.0.split_first_chunk::<3>()?;
        self.0 = tail;
        let [a, b, c] = *head;
        Some(u32::from_be_bytes([0, a, b, c]))
    }

    /// The next four octets.
    pub fn u32(&mut self) -> Option<u32> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u32::from_be_bytes(*head))
    }

    /// A QUIC variable-length integer (RFC 9000, 16).
    pub fn varint(&mut self) -> Option<u64> {
        let first = self.u8()?;
        let more = (1_usize << (first >> 6)) - 1;
        Some(self.take(more)?.iter().fold(u64::from(first & 0x3f), |number, octet| number << 8 | u64::from(*octet)))
    }

    /// What follows an octet of length.
    pub fn vec8(&mut self) -> Option<Self> {
        let len = self.u8()?;
        self.take(len.into()).map(Self)
    }

    /// What follows two octets of length.
    pub fn vec16(&mut self) -> Option<Self> {
        let len = self.u16()?;
        self.take(len.into()).map(Self)
    }

    /// What follows two octets of length, or what there is of it, and whether that was all.
    pub fn vec16_cut(&mut self) -> Option<(Self, bool)> {
        let len = usize::from(self.u16()?);
        let whole = self.0.len() >= len;
        self.take(len.min(self.0.len())).map(|bytes| (Self(bytes), whole))
    }

    /// All that is left, as numbers of two octets; an odd octet at the end is left out.
    #[must_use]
    pub fn u16s(self) -> Vec<u16> {
        self.0.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
    }
}
