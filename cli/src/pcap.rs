//! Writes a capture file for Wireshark and tcpdump: the writes of a connection as TCP segments, and
//! datagrams, with the headers that a network would give them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use etherparse::PacketBuilder;

/// The fields of the file header: the magic number in the host's byte order, version 2.4, and the
/// link type of packets that begin with an IP header.
const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: (u16, u16) = (2, 4);
const LINKTYPE_RAW: u32 = 101;
/// The maximum length of a packet, and of the payload of a TCP segment in it.
const MAX_PACKET_LEN: usize = 65_535;
const MAX_SEGMENT_LEN: usize = MAX_PACKET_LEN - 20 - 20;

const TIME_TO_LIVE: u8 = 64;
const WINDOW: u16 = u16::MAX;

/// The addresses of a connection: the writer's and the reader's.
pub(crate) type Ends = (SocketAddrV4, SocketAddrV4);

/// A capture file that several threads can write to.
#[derive(Clone)]
pub(crate) struct Capture(Arc<Mutex<Packets>>);

struct Packets {
    file: BufWriter<File>,
    packet: Vec<u8>,
    /// The first error. After it nothing more is written, but the connections go on.
    error: Option<io::Error>,
    /// Set once the capture is finished; connections that are still open write nothing more to it.
    finished: bool,
}

impl Capture {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        let max_packet_len = u32::try_from(MAX_PACKET_LEN).unwrap_or(u32::MAX);
        file.write_all(&MAGIC.to_ne_bytes())?;
        file.write_all(&VERSION.0.to_ne_bytes())?;
        file.write_all(&VERSION.1.to_ne_bytes())?;
        file.write_all(&[0; 8])?; // time zone and accuracy of timestamps
        file.write_all(&max_packet_len.to_ne_bytes())?;
        file.write_all(&LINKTYPE_RAW.to_ne_bytes())?;
        let packets = Packets { file, packet: Vec::new(), error: None, finished: false };
        Ok(Self(Arc::new(Mutex::new(packets))))
    }

    /// Records a datagram.
    pub(crate) fn datagram(&self, (source, destination): Ends, payload: &[u8]) {
        let packet = ipv4((source, destination)).udp(source.port(), destination.port());
        self.packets().add(|out| packet.write(out, payload).map_err(io::Error::other));
    }

    /// Returns a writer that records a connection from its beginning to its end.
    pub(crate) fn record<W: Write>(&self, ends: Ends, inner: W) -> RecordingWriter<W> {
        let recorded = RecordingWriter { inner, capture: self.clone(), ends, next: 1 };
        recorded.begin();
        recorded
    }

    /// Finishes the file.
    ///
    /// # Errors
    /// The first error of any write to the file.
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
        // The format has 32 bits for the seconds; readers treat them as unsigned.
        let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        for number in [seconds, now.subsec_micros(), len, len] {
            self.file.write_all(&number.to_ne_bytes())?;
        }
        self.file.write_all(&self.packet)
    }
}

/// A writer that records each write as a TCP segment.
pub(crate) struct RecordingWriter<W: Write> {
    inner: W,
    capture: Capture,
    ends: Ends,
    /// The sequence number of the next byte.
    next: u32,
}

/// The kind of a segment.
enum Segment<'a> {
    Begin,
    Data(&'a [u8]),
    End,
}

impl<W: Write> RecordingWriter<W> {
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

impl<W: Write> Write for RecordingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // At most one segment.
        let n = self.inner.write(bytes.get(..MAX_SEGMENT_LEN).unwrap_or(bytes))?;
        self.segment(&Segment::Data(bytes.get(..n).unwrap_or_default()));
        // `n` is at most one segment; sequence numbers wrap around after 4 GiB.
        self.next = self.next.wrapping_add(u32::try_from(n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Drop for RecordingWriter<W> {
    fn drop(&mut self) {
        self.segment(&Segment::End);
    }
}
