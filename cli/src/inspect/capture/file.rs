//! Reads the packets of a capture file, pcap or pcapng, one at a time.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

/// The maximum length of a packet and of a block. Snap lengths are 256 KiB at most, except for USB.
const MAX_PACKET_LEN: u32 = 64 << 20;
/// The maximum number of interfaces of a section.
const MAX_INTERFACES: usize = 65_536;

/// The block types of pcapng that are read.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;

/// A packet as it was captured.
pub(crate) struct Packet {
    /// The time since the Unix epoch, if the capture has it.
    pub(crate) time: Option<Duration>,
    /// The number of the link type.
    pub(crate) link: u32,
    pub(crate) data: Vec<u8>,
}

/// An error of a capture.
#[derive(Debug)]
pub(crate) enum CaptureError {
    Io(io::Error),
    /// What is wrong with the capture, and where.
    Invalid(String),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

/// Returns whether an input that begins with these bytes is a capture file.
pub(crate) fn is_capture(beginning: &[u8]) -> bool {
    let Some(magic) = beginning.first_chunk() else { return false };
    pcap_magic(*magic).is_some()
        || (u32::from_be_bytes(*magic) == SECTION
            && beginning.get(8..12).and_then(section_order).is_some())
}

/// Returns the byte order of a pcap file, and the number of time units in a second.
fn pcap_magic(magic: [u8; 4]) -> Option<(Order, u32)> {
    match u32::from_be_bytes(magic) {
        // The second one of each pair is of a patched tcpdump with longer records.
        0xa1b2_c3d4 => Some((Order::Big, 1_000_000)),
        0xd4c3_b2a1 => Some((Order::Little, 1_000_000)),
        0xa1b2_3c4d => Some((Order::Big, 1_000_000_000)),
        0x4d3c_b2a1 => Some((Order::Little, 1_000_000_000)),
        _ => None,
    }
}

fn section_order(magic: &[u8]) -> Option<Order> {
    match magic {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(Order::Big),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(Order::Little),
        _ => None,
    }
}

/// The packets of a capture file.
pub(crate) struct CaptureFile<R> {
    source: R,
    /// The number of bytes read.
    at: u64,
    kind: Option<Kind>,
}

enum Kind {
    Pcap { order: Order, units: u32, link: u32 },
    Pcapng { order: Order, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy)]
struct Interface {
    link: u32,
    snap_len: u32,
    /// The number of time units in a second.
    units: u64,
    /// Seconds that are added to each time.
    offset: i64,
}

impl<R: Read> CaptureFile<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, at: 0, kind: None }
    }

    /// Returns the next packet; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, CaptureError> {
        loop {
            match &mut self.kind {
                None => {
                    let mut magic = [0; 4];
                    if !self.fill(&mut magic, "the file's header")? {
                        return Ok(None);
                    }
                    self.begin(magic)?;
                }
                Some(Kind::Pcap { order, units, link }) => {
                    let (order, units, link) = (*order, *units, *link);
                    return self.record(order, units, link);
                }
                Some(Kind::Pcapng { .. }) => {
                    let mut head = [0; 8];
                    if !self.fill(&mut head, "a block")? {
                        return Ok(None);
                    }
                    if let Some(packet) = self.block(head)? {
                        return Ok(Some(packet));
                    }
                }
            }
        }
    }

    fn begin(&mut self, magic: [u8; 4]) -> Result<(), CaptureError> {
        if let Some((order, units)) = pcap_magic(magic) {
            let mut header = [0; 20];
            self.fill_all(&mut header, "the file's header")?;
            let major = order.u16(&header, 0).unwrap_or_default();
            if major != 2 {
                return Err(self.invalid(format!("pcap version {major} is not known")));
            }
            // The upper bits say whether packets end with a checksum, and its length.
            let link = order.u32(&header, 16).unwrap_or_default() & 0x03ff_ffff;
            self.kind = Some(Kind::Pcap { order, units, link });
            return Ok(());
        }
        if u32::from_be_bytes(magic) == SECTION {
            let mut len = [0; 4];
            self.fill_all(&mut len, "the file's header")?;
            return self.section(len);
        }
        Err(self.invalid("this is no pcap and no pcapng file".to_owned()))
    }

    /// Reads a record of pcap.
    fn record(
        &mut self,
        order: Order,
        units: u32,
        link: u32,
    ) -> Result<Option<Packet>, CaptureError> {
        let at = self.at;
        let mut head = [0; 16];
        if !self.fill(&mut head, "a packet's header")? {
            return Ok(None);
        }
        let [seconds, fraction, len] = [0, 4, 8].map(|at| order.u32(&head, at).unwrap_or_default());
        if len > MAX_PACKET_LEN {
            return Err(damaged(at, &format!("a packet of {len} bytes")));
        }
        let data = self.bytes(len, "a packet")?;
        let nanos = u64::from(fraction) * (1_000_000_000 / u64::from(units));
        let time = Duration::from_secs(seconds.into()).saturating_add(Duration::from_nanos(nanos));
        Ok(Some(Packet { time: Some(time), link, data }))
    }

    /// Begins a section of pcapng, after the block's type and its length.
    fn section(&mut self, len: [u8; 4]) -> Result<(), CaptureError> {
        let at = self.at.saturating_sub(8);
        let mut magic = [0; 4];
        self.fill_all(&mut magic, "a section's header")?;
        let Some(order) = section_order(&magic) else {
            return Err(damaged(at, "a section without a byte order"));
        };
        let len = order.u32(&len, 0).unwrap_or_default();
        if len < 28 {
            return Err(damaged(at, &format!("a section's header of {len} bytes")));
        }
        let rest = self.block_body(at, len, 12, "a section's header")?;
        let major = order.u16(&rest, 0).unwrap_or_default();
        if major != 1 {
            return Err(self.invalid(format!("pcapng version {major} is not known")));
        }
        self.kind = Some(Kind::Pcapng { order, interfaces: Vec::new() });
        Ok(())
    }

    /// Reads a block's body after `read` bytes, and its length at the end.
    fn block_body(
        &mut self,
        at: u64,
        len: u32,
        read: u32,
        what: &str,
    ) -> Result<Vec<u8>, CaptureError> {
        if len > MAX_PACKET_LEN || len < read + 4 || !len.is_multiple_of(4) {
            return Err(damaged(at, &format!("a block of {len} bytes")));
        }
        let mut body = self.bytes(len - read, what)?;
        body.truncate(body.len().saturating_sub(4));
        Ok(body)
    }

    /// Reads the block with this type and length; `None` if it has no packet.
    fn block(&mut self, head: [u8; 8]) -> Result<Option<Packet>, CaptureError> {
        let at = self.at.saturating_sub(8);
        let [kind @ .., l0, l1, l2, l3] = head;
        if u32::from_be_bytes(kind) == SECTION {
            self.section([l0, l1, l2, l3])?;
            return Ok(None);
        }
        let Some(Kind::Pcapng { order, .. }) = self.kind else { return Ok(None) };
        let kind = order.u32(&head, 0).unwrap_or_default();
        let len = order.u32(&head, 4).unwrap_or_default();
        let body = self.block_body(at, len, 8, "a block")?;
        let Some(Kind::Pcapng { interfaces, .. }) = &mut self.kind else { return Ok(None) };
        let short = || damaged(at, &format!("a block of {len} bytes, which is too short"));
        let (index, time_at, len_at, data_at) = match kind {
            INTERFACE => {
                if interfaces.len() == MAX_INTERFACES {
                    return Err(damaged(at, "too many interfaces"));
                }
                interfaces.push(interface(order, &body).ok_or_else(short)?);
                return Ok(None);
            }
            PACKET => (order.u32(&body, 0).ok_or_else(short)?, 4, 12, 20),
            OLD_PACKET => (order.u16(&body, 0).ok_or_else(short)?.into(), 4, 12, 20),
            SIMPLE_PACKET => (0, usize::MAX, 0, 4),
            _ => return Ok(None),
        };
        let interface = usize::try_from(index).ok().and_then(|index| interfaces.get(index));
        let Some(&Interface { link, snap_len, units, offset }) = interface else {
            return Err(damaged(at, &format!("a packet of interface {index}, which is not there")));
        };
        let mut len = order.u32(&body, len_at).ok_or_else(short)?;
        if kind == SIMPLE_PACKET && snap_len > 0 {
            len = len.min(snap_len);
        }
        let data = usize::try_from(len).ok().and_then(|len| body.get(data_at..)?.get(..len));
        let data = data.ok_or_else(short)?.to_vec();
        let time = match (order.u32(&body, time_at), order.u32(&body, time_at.saturating_add(4))) {
            (Some(high), Some(low)) => time(u64::from(high) << 32 | u64::from(low), units, offset),
            _ => None,
        };
        Ok(Some(Packet { time, link, data }))
    }

    /// Reads `len` bytes. Memory grows with what arrives.
    fn bytes(&mut self, len: u32, what: &str) -> Result<Vec<u8>, CaptureError> {
        let mut data = Vec::new();
        let n = (&mut self.source).take(len.into()).read_to_end(&mut data);
        let n = n.map_err(CaptureError::Io)? as u64;
        self.at += n;
        if n < u64::from(len) { Err(self.ended(what)) } else { Ok(data) }
    }

    /// Fills `buf`. Returns whether there was anything.
    fn fill(&mut self, buf: &mut [u8], what: &str) -> Result<bool, CaptureError> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(self.ended(what)),
                Ok(n) => {
                    filled += n;
                    self.at += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CaptureError::Io(error)),
            }
        }
        Ok(true)
    }

    fn fill_all(&mut self, buf: &mut [u8], what: &str) -> Result<(), CaptureError> {
        if self.fill(buf, what)? { Ok(()) } else { Err(self.ended(what)) }
    }

    fn ended(&self, what: &str) -> CaptureError {
        self.invalid(format!(
            "the capture ends inside {what}; was the writer ended, or the copy cut?"
        ))
    }

    fn invalid(&self, what: String) -> CaptureError {
        CaptureError::Invalid(format!("byte {} of the capture: {what}", self.at))
    }
}

fn damaged(at: u64, what: &str) -> CaptureError {
    CaptureError::Invalid(format!("byte {at} of the capture: {what}; the file is damaged"))
}

/// Reads an interface's description.
fn interface(order: Order, body: &[u8]) -> Option<Interface> {
    let link = order.u16(body, 0)?.into();
    let snap_len = order.u32(body, 4)?;
    let mut interface = Interface { link, snap_len, units: 1_000_000, offset: 0 };
    let mut options = body.get(8..)?;
    while let (Some(code), Some(len)) = (order.u16(options, 0), order.u16(options, 2)) {
        let value = options.get(4..).and_then(|rest| rest.get(..len.into())).unwrap_or_default();
        match (code, value) {
            (0, _) => break,
            // The exponent of 2 or of 10.
            (9, [exponent, ..]) => {
                let (base, exponent) = (10 - 8 * u64::from(exponent >> 7), exponent & 0x7f);
                interface.units = base.checked_pow(exponent.into()).unwrap_or(u64::MAX);
            }
            (14, value) => {
                if let Some(bytes) = value.first_chunk() {
                    let big = order == Order::Big;
                    interface.offset =
                        if big { i64::from_be_bytes(*bytes) } else { i64::from_le_bytes(*bytes) };
                }
            }
            _ => {}
        }
        options = options.get(4 + usize::from(len).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(interface)
}

fn time(ticks: u64, units: u64, offset: i64) -> Option<Duration> {
    let nanos = u128::from(ticks % units) * 1_000_000_000 / u128::from(units);
    let nanos = u32::try_from(nanos).ok()?;
    let seconds = (ticks / units).checked_add_signed(offset)?;
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len() + 12).unwrap().to_be_bytes();
        [&kind.to_be_bytes()[..], &len, body, &len].concat()
    }

    /// A section with an interface whose snap length is 6.
    fn section() -> Vec<u8> {
        let version = [&[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0][..], &[0xff; 8]].concat();
        [block(SECTION, &version), block(INTERFACE, &[0, 101, 0, 0, 0, 0, 0, 6])].concat()
    }

    type Timed = (Option<Duration>, Vec<u8>);

    fn packets(file: &[u8]) -> Result<Vec<Timed>, String> {
        let mut file = CaptureFile::new(file);
        let mut packets = Vec::new();
        while let Some(packet) = file.next().map_err(|error| error.to_string())? {
            packets.push((packet.time, packet.data));
        }
        Ok(packets)
    }

    #[test]
    fn simple_and_obsolete_packets_are_read() {
        // The packet had 9 bytes, of which the snap length leaves 6.
        let simple = block(SIMPLE_PACKET, b"\0\0\0\x09simple\0\0");
        let old = [&[0; 8][..], &[0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 3], b"old\0"].concat();
        let file = [section(), simple, block(OLD_PACKET, &old)].concat();
        let time = Duration::from_micros(7);
        assert_eq!(
            packets(&file),
            Ok(vec![(None, b"simple".to_vec()), (Some(time), b"old".to_vec())])
        );
    }

    #[test]
    fn damaged_blocks_are_errors_with_their_place() {
        for (block, why) in [
            (
                block(PACKET, &[0, 0, 0, 1, 0, 0, 0, 0]),
                "a packet of interface 1, which is not there",
            ),
            (block(PACKET, &[0; 8]), "a block of 20 bytes, which is too short"),
            (
                block(SIMPLE_PACKET, &[0, 0, 0, 5, 1, 2, 3, 4]),
                "a block of 20 bytes, which is too short",
            ),
            (vec![0, 0, 0, 6, 0, 0, 0, 13, 0, 0, 0, 0, 0], "a block of 13 bytes"),
            (vec![0, 0, 0, 6, 0xff, 0, 0, 0], "a block of 4278190080 bytes"),
        ] {
            let error = packets(&[section(), block].concat()).unwrap_err();
            let expected = format!("byte 48 of the capture: {why}; the file is damaged");
            assert_eq!(error, expected);
        }
        assert!(packets(b"\xa1\xb2\xc3\xd4\0\x03\0\x04").is_err());
    }

    #[test]
    fn units_of_time_may_be_anything() {
        assert_eq!(time(1_500, 1_000, 0), Some(Duration::from_millis(1_500)));
        assert_eq!(time(1_500, 1_000, -1), Some(Duration::from_millis(500)));
        assert_eq!(time(1_500, 1_000, -2), None);
        let finest = time(u64::MAX, u64::MAX, i64::MAX);
        assert_eq!(finest.map(|time| time.subsec_nanos()), Some(0));
    }
}
