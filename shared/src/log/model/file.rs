//! An open file of the filesystem in memory.

use std::io;

use super::super::fs::File;
use super::{Change, Disk, EIO, ModelFile, errno, lock};

impl File for ModelFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut disk = lock(&self.disk);
        disk.up()?;
        let want = if disk.faults.short_reads { 1 + disk.random(buf.len() as u64) } else { buf.len() as u64 };
        let want = usize::try_from(want).unwrap_or(buf.len()).min(buf.len());
        let end = at + want as u64;
        if disk.faults.bad.iter().any(|(inode, byte)| *inode == self.inode && (at..end).contains(byte)) {
            return Err(errno(EIO));
        }
        let file = disk.inode(self.inode)?;
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(file.cache.len());
        let bytes = file.cache.get(from..).unwrap_or_default();
        let got = bytes.len().min(want);
        if let (Some(to), Some(from)) = (buf.get_mut(..got), bytes.get(..got)) {
            to.copy_from_slice(from);
        }
        Ok(got)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut disk = lock(&self.disk);
        let on = disk.call(b'w', bytes.len() as u64)?;
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let mut written = disk.accepted(self.inode, at, bytes)?;
        if !on {
            written = usize::try_from(disk.random(written as u64 + 1)).unwrap_or(written);
        }
        disk.write(self.inode, at, bytes.get(..written).unwrap_or_default())?;
        if on { Ok(written) } else { Err(Disk::off()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        if !disk.call(b's', 0)? {
            return Err(Disk::off());
        }
        disk.sync(self.inode)
    }

    fn cut(&self, len: u64, allocate: u64) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let on = disk.call(b't', len)?;
        let (len, size) = (usize::try_from(len).unwrap_or(0), usize::try_from(allocate.max(len)).unwrap_or(0));
        let grows = size.saturating_sub(disk.inode(self.inode)?.cache.len());
        if grows > 0 {
            disk.fits(grows)?;
        }
        let file = disk.inode(self.inode)?;
        file.cache.truncate(len);
        file.cache.resize(size, 0);
        file.unsynced.extend([Change::Size(len), Change::Size(size)]);
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn size(&self) -> io::Result<u64> {
        let mut disk = lock(&self.disk);
        disk.up()?;
        Ok(disk.inode(self.inode)?.cache.len() as u64)
    }
}
