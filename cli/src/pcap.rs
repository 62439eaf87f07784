//! A capture file of what this program passed on, for Wireshark and tcpdump: the writes of a
//! connection as TCP segments, and datagrams, with the headers that a network would give them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use etherparse::PacketBuilder;

/// Of a capture file: its number in the host's byte order, the version 2.4, and packets that begin
/// with an IP header.
const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: (u16, u16) = (2, 4);
const LINKTYPE_RAW: u32 = 101;
/// The longest packet, and what of it a TCP segment has room for.
const LONGEST_PACKET: usize = 65_535;
const LONGEST_SEGMENT: usize = LONGEST_PACKET - 20 - 20;

const TIME_TO_LIVE: u8 = 64;
const WINDOW: u16 = u16::MAX;

/// The ends of a connection: who writes, and who reads.
pub(crate) type Ends = (SocketAddrV4, SocketAddrV4);

/// A capture file that several threads may write to.
#[derive(Clone)]
pub(crate) struct Capture(Arc<Mutex<Packets>>);

struct Packets {
    file: BufWriter<File>,
    packet: Vec<u8>,
    /// The first error. It ends the capture, and nothing else.
    error: Option<io::Error>,
    /// A connection that is still open may outlive the capture.
    finished: bool,
}

impl Capture {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        let longest = u32::try_from(LONGEST_PACKET).unwrap_or(u32::MAX);
        file.write_all(&MAGIC.to_ne_bytes())?;
        file.write_all(&VERSION.0.to_ne_bytes())?;
        file.write_all(&VERSION.1.to_ne_bytes())?;
        file.write_all(&[0; 8])?; // the time zone, and the accuracy of the times
        file.write_all(&longest.to_ne_bytes())?;
        file.write_all(&LINKTYPE_RAW.to_ne_bytes())?;
        let packets = Packets { file, packet: Vec::new(), error: None, finished: false };
        Ok(Self(Arc::new(Mutex::new(packets))))
    }

    /// Takes down a datagram.
    pub(crate) fn datagram(&self, (source, destination): Ends, payload: &[u8]) {
        let packet = ipv4((source, destination)).udp(source.port(), destination.port());
        self.packets().add(|out| packet.write(out, payload).map_err(io::Error::other));
    }

    /// Takes down what is written to a connection, from its beginning to its end.
    pub(crate) fn record<W: Write>(&self, ends: Ends, inner: W) -> Recorded<W> {
        let recorded = Recorded { inner, capture: self.clone(), ends, next: 1 };
        recorded.begin();
        recorded
    }

    /// The end of the file; and the first error, if there was one.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let mut packets = self.packets();
        packets.finished = true;
        match packets.error.take() {
            Some(error) => Err(error),
            None => packets.file.flush(),
        }
    }

    fn packets(&self) -> MutexGuard<'_, Packets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ipv4((source, destination): Ends) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    PacketBuilder::ipv4(source.ip().octets(), destination.ip().octets(), TIME_TO_LIVE)
}

impl Packets {
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        if self.error.is_none() && !self.finished {
            self.error = self.try_add(write).err();
        }
    }

    fn try_add(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        self.packet.clear();
        write(&mut self.packet)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let len = u32::try_from(self.packet.len()).map_err(io::Error::other)?;
        // The format has 32 bits for the seconds; readers take them as unsigned.
        let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        for number in [seconds, now.subsec_micros(), len, len] {
            self.file.write_all(&number.to_ne_bytes())?;
        }
        self.file.write_all(&self.packet)
    }
}

/// A writer whose writes are taken down, each as a segment.
pub(crate) struct Recorded<W: Write> {
    inner: W,
    capture: Capture,
    ends: Ends,
    /// The sequence number of the next byte.
    next: u32,
}

/// What a segment is there for.
enum Segment<'a> {
    Begin,
    Data(&'a [u8]),
    End,
}

impl<W: Write> Recorded<W> {
    fn begin(&self) {
        let (ours, theirs) = self.ends;
        self.segment(&Segment::Begin);
        let reply = ipv4((theirs, ours)).tcp(theirs.port(), ours.port(), 0, WINDOW);
        let reply = reply.syn().ack(self.next);
        self.capture.packets().add(|out| reply.write(out, &[]).map_err(io::Error::other));
        self.segment(&Segment::Data(&[]));
    }

    fn segment(&self, segment: &Segment<'_>) {
        let (ours, theirs) = self.ends;
        let begin = |sequence| ipv4(self.ends).tcp(ours.port(), theirs.port(), sequence, WINDOW);
        let (packet, payload) = match *segment {
            Segment::Begin => (begin(0).syn(), &[][..]),
            Segment::Data([]) => (begin(self.next).ack(1), &[][..]),
            Segment::Data(payload) => (begin(self.next).ack(1).psh(), payload),
            Segment::End => (begin(self.next).ack(1).fin(), &[][..]),
        };
        self.capture.packets().add(|out| packet.write(out, payload).map_err(io::Error::other));
    }
}

impl<W: Write> Write for Recorded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A longer one would be more than one segment.
        let n = self.inner.write(bytes.get(..LONGEST_SEGMENT).unwrap_or(bytes))?;
        self.segment(&Segment::Data(bytes.get(..n).unwrap_or_default()));
        // At most a segment; sequence numbers begin again after 4 GiB.
        self.next = self.next.wrapping_add(u32::try_from(n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Drop for Recorded<W> {
    fn drop(&mut self) {
        self.segment(&Segment::End);
    }
}
