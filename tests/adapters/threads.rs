//! Every public type can be kept in a static, sent to a thread, and shared, if its parts can.
//!
//! What borrows from a reader or a buffer lives no longer than that; its lifetime is `'static` here.

use unstick::*;

/// Does not compile for another type.
fn shared<T: Send + Sync + 'static>() {}

/// One call for each type.
macro_rules! shared {
    ($($type:ty),+ $(,)?) => { $(shared::<$type>();)+ };
}

/// A constant of each kind that a program keeps.
static PLAIN: Framing<U32Be> = Framing::new(U32Be);
static LIMITED: Framing = Framing::new(V1).with_limit(u64::MAX);
const NARROW: Framing<U16Be> = Framing::new(U16Be);

#[test]
fn a_framing_can_be_a_constant() {
    assert_eq!(PLAIN.limit(), DEFAULT_LIMIT);
    assert_eq!(LIMITED.limit(), u32::MAX.into());
    assert_eq!(NARROW.limit(), u16::MAX.into());
    assert_eq!(NARROW, Framing::new(U16Be).with_limit(u16::MAX.into()));
    assert_eq!(NARROW, Framing::default());
    let shown = "Framing { format: U16Be, limit: 65535, send_limit: 65535, explicit: false }";
    assert_eq!(format!("{NARROW:?}"), shown);
    assert_eq!(Framing::new(Varint).with_limit(u64::MAX).limit(), MAX_PAYLOAD_LEN);
    // A format that is not `Copy` is moved.
    let boxed = Framing::new(Owned("x".to_owned())).with_limit(7);
    assert_eq!((boxed.limit(), &*boxed.format().0), (7, "x"));
}

/// A format with a destructor.
struct Owned(String);

impl Format for Owned {
    type Meta = ();
    type HeaderBuf = [u8; 4];

    fn max_payload_len(&self) -> u64 {
        U32Be.max_payload_len()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        U32Be.decode_header(bytes)
    }

    fn encode_header(&self, (): &(), len: u64, out: &mut [u8; 4]) -> Result<usize, EncodeError> {
        U32Be.encode_header(&(), len, out)
    }
}

#[test]
fn types_of_the_core() {
    shared![
        HeaderError, DecodeError, DatagramError, EncodeError, RecoverError, StorageError,
        LayoutError, WriteBufError, Part, Kind, Layout, ByteOrder, Covers, FieldMeta, InDatagram,
        Header<Kind>, Parsed<Kind>, Accepted, Pushed, U8, U16Be, U16Le, U24Be, U24Le, U32Be, U32Le,
        U64Be, U64Le, I32Be, I32Le, Varint, V1, LengthField, Framing, Framing<LengthField>, Decoder,
        Decoder<LengthField>, Piece<'static, Kind>, Pieces<'static, 'static, V1>, Encoder,
        EncodedHeader<V1>, Frame<'static, Kind>, OwnedFrame<Kind>, Escaped<'static>,
        FrameBuf<Vec<u8>, V1>, FrameBuf<[u8; 64], U32Be>, WriteBuf<Vec<u8>, V1>,
        DatagramPacker<'static, V1>, Datagram<'static, 'static, V1, fn(&Kind) -> bool>,
    ];
    shared![
        scan::Scanner<V1>,
        scan::Scan<Kind>,
        scan::Found<Kind>,
        scan::Searched,
        engine::ReadEngine<Vec<u8>, V1>,
        engine::ReadTimeouts,
        engine::TimedOut,
        engine::Next<'static, Kind>,
        engine::FrameOrSkipped<Kind>,
    ];
}

#[test]
fn types_over_std() {
    use std::net::{TcpStream, UdpSocket};
    shared![
        io::ReadError, io::WriteError, io::FrameReader<TcpStream, V1>,
        io::FrameWriter<TcpStream, V1>, io::FrameSocket<V1>, io::FrameReceiver<V1>,
        io::FrameSender<V1>, io::Lost, io::RecvStats, io::Refusals, io::SendStats,
        io::Received<Vec<OwnedFrame<Kind>>>, io::Frames<'static, V1>, udp::DatagramSendError,
        udp::UdpEndpoint<UdpSocket>, udp::ReceiveSlots<V1>, udp::SendQueue<V1>, udp::Arrival,
        udp::CheckedFrame<'static, V1>,
    ];
}

#[cfg(feature = "tokio")]
#[test]
fn types_over_tokio() {
    use ::tokio::net::TcpStream;
    shared![
        tokio::FrameReader<TcpStream, V1>, tokio::FrameWriter<TcpStream, V1>,
        tokio::FrameStream<TcpStream, V1>, tokio::FrameSocket<V1>, tokio::FrameReceiver<V1>,
        tokio::FrameSender<V1>,
    ];
}

#[cfg(feature = "tokio-util")]
#[test]
fn codecs() {
    use unstick::codec::{BytesFrame, CodecError, FrameCodec, IoErrors, PayloadCodec};
    shared![
        BytesFrame,
        CodecError,
        FrameCodec,
        PayloadCodec<U32Be>,
        IoErrors<FrameCodec>,
        IoErrors<PayloadCodec<LengthField>>,
    ];
}

#[cfg(feature = "embedded-io")]
#[test]
fn types_over_embedded_io() {
    shared![
        embedded_io::ReadError<std::io::Error>, embedded_io::WriteError<std::io::Error>,
        embedded_io::FrameReader<(), [u8; 64], V1>, embedded_io::FrameWriter<(), [u8; 64], V1>,
    ];
}

#[cfg(feature = "embedded-io-async")]
#[test]
fn types_over_embedded_io_async() {
    shared![
        embedded_io_async::FrameReader<(), [u8; 64], V1>,
        embedded_io_async::FrameWriter<(), [u8; 64], V1>,
    ];
}
