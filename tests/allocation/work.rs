//! The work of decoding, counted in questions to the format: linear in the stream. Requirement: SEC-2.

use std::cell::Cell;
use std::rc::Rc;

use unstick::{
    Decoder, EncodeError, Format, FrameBuf, Framing, HeaderError, Kind, Parsed, SelfChecking, V1,
    header,
};

/// Counts the questions to a format, and the bytes it was shown beyond a header.
#[derive(Clone, Debug, Default)]
struct Asked {
    times: Rc<Cell<usize>>,
}

impl Format for Asked {
    type Meta = Kind;
    type HeaderBuf = [u8; 8];

    fn max_payload_len(&self) -> u64 {
        V1.max_payload_len()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Kind>, HeaderError> {
        self.times.set(self.times.get() + 1);
        V1.decode_header(bytes)
    }

    fn encode_header(
        &self,
        kind: &Kind,
        len: u64,
        out: &mut [u8; 8],
    ) -> Result<usize, EncodeError> {
        V1.encode_header(kind, len, out)
    }
}

impl SelfChecking for Asked {}

/// Streams that ask for the most work: nothing but empty frames, nothing but false beginnings.
fn hard_streams(len: usize) -> Vec<Vec<u8>> {
    let empty = header::encode(Kind::TEXT, 0);
    let false_start = [0xF5, 0x01, 0x01, 0xF5, 0x01, 0x01, 0xF5, 0x01];
    [&empty[..], &false_start, &[0xF5], &[0xF5, 0x01], b"garbage"]
        .iter()
        .map(|unit| unit.repeat(len / unit.len()))
        .collect()
}

/// The questions for a stream, all of it searched where it fails.
fn questions(stream: &[u8], read: usize, buffered: bool) -> usize {
    let format = Asked::default();
    let framing = Framing::new(format.clone());
    if buffered {
        let mut buf = FrameBuf::with_framing([0; 64], framing).unwrap();
        for mut chunk in stream.chunks(read) {
            while !chunk.is_empty() {
                let n = buf.extend(chunk);
                chunk = &chunk[n..];
                loop {
                    match buf.next_frame() {
                        Ok(None) => break,
                        Ok(Some(_)) => {}
                        Err(_) => match buf.resync().unwrap() {
                            Some(_) => {}
                            None => break,
                        },
                    }
                }
            }
        }
    } else {
        let mut decoder = Decoder::with_framing(framing);
        for mut chunk in stream.chunks(read) {
            loop {
                let before = decoder.position();
                if decoder.for_each(chunk, |_| {}).is_ok() {
                    break;
                }
                chunk = &chunk[(decoder.position() - before) as usize..];
                if decoder.resync(&mut chunk).unwrap().is_none() {
                    break;
                }
            }
        }
    }
    format.times.get()
}

/// Work is linear in the bytes: twice the stream, twice the questions; and few for each byte.
// spec: SEC-2
#[test]
fn work_is_linear_in_the_stream() {
    for buffered in [false, true] {
        for read in [1, 3, 64, 1 << 20] {
            let (short, long) = (hard_streams(4_000), hard_streams(16_000));
            for (short, long) in short.iter().zip(&long) {
                let few = questions(short, read, buffered);
                let many = questions(long, read, buffered);
                assert!(many <= 4 * few + 100, "{few} {many} {read} {buffered}");
                assert!(many <= 4 * long.len() + 100, "{many} for {} bytes", long.len());
            }
        }
    }
}

/// A caller may ask for a frame as often as it likes: the format is not, until more has arrived.
// spec: SEC-2
#[test]
fn without_new_bytes_a_read_buffer_asks_its_format_nothing() {
    let format = Asked::default();
    let mut buf = FrameBuf::with_framing([0; 64], Framing::new(format.clone())).unwrap();
    let mut sent = Vec::new();
    Framing::new(V1).encode(Kind::TEXT, b"payload", &mut sent).unwrap();
    for byte in &sent[..sent.len() - 1] {
        assert_eq!((buf.extend(&[*byte]), buf.next_frame()), (1, Ok(None)));
        let asked = format.times.get();
        for _ in 0..3 {
            assert_eq!(buf.next_frame(), Ok(None));
        }
        assert_eq!(format.times.get(), asked);
    }
}
