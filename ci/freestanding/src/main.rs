//! Promise 8: the core has no reachable panic, nor have the adapters for embedded systems. The panic
//! handler calls a function that does not exist, so this program links only if nothing can reach it.
//!
//! With the feature `async` that function exists: the compiler puts a panic into every `async fn`, for
//! a caller that polls it behind its end. `async-panics` sees that no other one can be reached; and all
//! but the adapters for embedded systems is left out, for it was linked without.
//!
//! It is linked, not run: `entry` lets no value be known to the compiler.

#![no_std]
#![no_main]

mod adapters;
#[cfg(feature = "async")]
mod async_adapters;

use core::hint::black_box;
use core::num::NonZeroU64;

use unstick::check::{Crc16X25, Crc32Iscsi, EndBytes, Fletcher8, SkipHeader};
use unstick::{
    AnyDelimiter, ByteOrder, Check, Checked, Cobs, Covers, DatagramPacker, Decoder, Delimited,
    Encoder, FieldMeta, Fixed, Format, FrameBuf, Framing, Hdlc, I32Be, Kind, Layout, LengthField,
    Lines, Marked, Search, SelfChecking, Slip, U16Be, U32Be, V1, Varint,
};
use unstick_cookbook::{
    ContentLength, Grpc, Http2, Modbus, Mqtt, MySql, NineP, Postgres, PostgresStartup, Tls, Tpkt,
    WebSocket, chunked, grpc, http2, mavlink, modbus, modbus_rtu, mqtt, mysql, netstring, ninep,
    postgres, resp, tls, ubx, websocket,
};
use unstick_session::message::{
    Code, Digest, FileCancel, FileData, FileDone, FileOpen, FileStatus, Hello, Message, ResumeKey,
};
use unstick_session::session::{FileReceiver, IncomingFile, Session};

#[cfg(not(feature = "async"))]
unsafe extern "C" {
    fn a_panic_is_reachable() -> !;
}

#[cfg(feature = "async")]
#[inline(never)]
#[unsafe(no_mangle)]
unsafe extern "C" fn a_panic_is_reachable() -> ! {
    loop {
        black_box(());
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { a_panic_is_reachable() }
}

/// What compiled code calls beside itself.
mod builtins {
    /// At opt-level 0 the precompiled `core` still refers to it; with `panic = "abort"` nothing
    /// calls it.
    #[unsafe(no_mangle)]
    extern "C" fn rust_eh_personality() {}

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        let mut i = 0;
        while i < len {
            unsafe { core::ptr::write_volatile(to.add(i), core::ptr::read_volatile(from.add(i))) };
            i += 1;
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        unsafe { memcpy(to, from, len) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
        let mut i = 0;
        while i < len {
            unsafe { core::ptr::write_volatile(to.add(i), value as u8) };
            i += 1;
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        let mut i = 0;
        while i < len {
            let (a, b) = unsafe { (*a.add(i), *b.add(i)) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
            i += 1;
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        unsafe { memcmp(a, b, len) }
    }
}

#[unsafe(no_mangle)]
extern "C" fn entry() -> ! {
    // A measurement has no arrays, whose zeros a board's compiler writes by a call.
    if cfg!(feature = "size-v1") {
        decode_only(V1, black_box(&[]));
    } else if cfg!(feature = "size-prefix") && cfg!(not(feature = "async")) {
        decode_only(U32Be, black_box(&[]));
    } else {
        everything_else();
    }
    loop {}
}

fn everything_else() {
    let (input, mut output) = ([0; 64], [0; 64]);
    let input: &[u8] = black_box(&input);
    let output: &mut [u8] = black_box(&mut output);

    if cfg!(feature = "reachable-panic") {
        // Just what the core must not do.
        output[black_box(3)] = input[black_box(3)];
    }
    if cfg!(feature = "reachable-panic") {
        decode_only(V1, input);
    } else if cfg!(feature = "async") {
        embedded(input, output);
    } else {
        everything(input, output);
    }
}

/// What `size-*` measures, and the negative control has beside its panic: push a chunk, and ask at the end.
fn decode_only<F: Format>(format: F, input: &[u8]) {
    let mut decoder = Decoder::with_framing(format);
    let mut rest = black_box(input);
    while let Ok(Some(piece)) = decoder.decode(&mut rest) {
        black_box((piece.bytes, piece.last));
    }
    black_box(decoder.finish().is_ok());
}

/// Calls `each` with every shipped format. `V1` can search, too.
macro_rules! each_format {
    ($input:ident, $output:ident, V1 = $name:literal, $len:literal; $($prefix:ident = $names:literal, $lens:literal;)+) => {
        self_checking(V1, black_box(Kind::TEXT), $input, $output);
        $(each(unstick::$prefix, (), $input, $output);)+
    };
}

fn everything(input: &[u8], output: &mut [u8]) {
    unstick::for_each_format! { each_format, input, output, }
    if let Some((format, meta)) = length_field(input) {
        black_box(meta.bytes());
        each(format, meta, input, output);
    }
    embedded(input, output);
    families(input, output);
    cookbook(input, output);
    messages(input, output);
    conversation(input);
}

fn length_field(input: &[u8]) -> Option<(LengthField, FieldMeta)> {
    let layout = Layout {
        header_len: black_box(4),
        offset: black_box(1),
        width: black_box(2),
        order: black_box(ByteOrder::Big),
        covers: black_box(Covers::Frame),
    };
    let format = LengthField::new(layout).ok()?;
    let meta = format.meta(input).ok()?;
    Some((format, meta))
}

/// The adapters for embedded systems.
fn embedded(input: &[u8], output: &mut [u8]) {
    adapters::self_checking(V1);
    adapters::each(V1, &black_box(Kind::TEXT), input, output);
    adapters::each(Varint, &(), input, output);
    if let Some((format, meta)) = length_field(input) {
        adapters::each(format, &meta, input, output);
    }
}

/// A value of a header's fields that the compiler does not know.
trait Unknown {
    fn unknown() -> Self;
}

/// Implements [`Unknown`] for the metas of the cookbook.
macro_rules! unknown {
    ($($meta:ty = $value:expr;)+) => {
        $(impl Unknown for $meta {
            fn unknown() -> Self {
                $value
            }
        })+
    };
}

unknown! {
    () = ();
    http2::Meta = Self { kind: black_box(1), flags: black_box(4), stream: black_box(5) };
    websocket::Meta = Self {
        opcode: black_box(websocket::Opcode::Text),
        fin: black_box(true),
        rsv: black_box(0),
        mask: black_box(Some([1, 2, 3, 4])),
    };
    tls::Meta = Self { content_type: black_box(tls::ContentType::Alert), version: black_box(3) };
    grpc::Meta = Self { compressed: black_box(true) };
    postgres::Meta = Self { kind: black_box(b'Q') };
    mysql::Meta = Self { sequence: black_box(3) };
    mqtt::Meta = Self { packet_type: black_box(mqtt::PacketType::Publish), flags: black_box(2) };
    modbus::Meta = Self { transaction: black_box(3), unit: black_box(1) };
    ninep::Meta = Self { kind: black_box(100), tag: black_box(3) };
    resp::Meta = black_box(Self::BulkString);
    ubx::Meta = Self { class: black_box(6), id: black_box(1) };
    mavlink::Meta = Self {
        version: black_box(mavlink::Version::V2),
        compatibility: black_box(0),
        sequence: black_box(3),
        system: black_box(1),
        component: black_box(2),
        message: black_box(4),
    };
    modbus_rtu::Meta =
        Self { address: black_box(1), function: black_box(16), fields: black_box([1, 2, 0, 0]) };
}

/// Calls `format` with every protocol.
macro_rules! each_protocol {
    ($input:ident, $output:ident, $($protocol:ident = $name:literal, $module:ident, $format:ident;)+) => {
        $(format($format, Unknown::unknown(), $input, $output);)+
    };
}

/// Calls `format` with the header of every protocol with a check, and its check.
macro_rules! each_checked_protocol {
    ($input:ident, $output:ident, $($protocol:ident = $name:literal, $module:ident, $format:ident, $new:ident;)+) => {
        $(
            format(*$module::$new().format().format(), Unknown::unknown(), $input, $output);
            check($module::$new().format().check(), $input);
        )+
    };
}

/// Any check, over any bytes.
fn check<C: Check>(check: &C, input: &[u8]) {
    black_box(check.trailer(check.update(check.begin(black_box(input)), black_box(input))));
}

/// Protocols that exist.
fn cookbook(input: &[u8], output: &mut [u8]) {
    unstick_cookbook::for_each_protocol! { each_protocol, input, output, }
    unstick_cookbook::for_each_checked_protocol! { each_checked_protocol, input, output, }
    format(http2::Preface, (), input, output);
    let meta = websocket::Meta::unknown();
    meta.unmask(black_box(7), output);
    black_box(meta.opcode.is_control());
    black_box(mqtt::Meta::unknown().packet_type.name());
}

/// Any payload of any kind, read and written.
fn messages(input: &[u8], output: &mut [u8]) {
    let Some(kind) = Kind::new(black_box(3)) else { return };
    match Message::decode(kind, black_box(input)) {
        Ok(message) => {
            if let Ok(encoded) = message.encode() {
                black_box((encoded.head(), encoded.tail(), encoded.payload_len()));
                let framing = Framing::new(V1).with_limit(black_box(4096));
                let _ = black_box(encoded.payload_into(output));
                let _ = black_box(encoded.frame_into(&framing, output));
            }
        }
        Err(error) => {
            black_box((error.code(), error.at()));
        }
    }
    let code = Code(black_box(9));
    black_box((code.name(), code.meaning(), code.is_final()));
}

struct Discarded;

impl IncomingFile for Discarded {
    type Error = Code;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Code> {
        if black_box(bytes).is_empty() { Err(Code::NO_SPACE) } else { Ok(()) }
    }

    fn digest(&mut self) -> Digest {
        black_box(Digest::OF_NOTHING)
    }

    fn store(self) -> Result<(), Code> {
        Err(black_box(Code::EXISTS))
    }
}

/// Everything that can come and be sent.
fn conversation(input: &[u8]) {
    let Some(kind) = Kind::new(black_box(3)) else { return };
    let mut session = black_box(Session::new().with_kind(kind).with_peer_limit(black_box(99)));
    let text = core::str::from_utf8(input).unwrap_or_default();
    let (id, offset, code) = (black_box(1), black_box(2), Code(black_box(3)));
    let (digest, key) = (Digest(black_box([4; 32])), ResumeKey(black_box([5; 16])));
    let done = FileDone { id, total: offset, digest };
    let mut files = FileReceiver::new(black_box(99), |_: &FileOpen<'_>| Ok(black_box(Discarded)));
    for message in black_box([
        Message::Hello(Hello { limit: id, name: text }),
        Message::Text(text),
        Message::Ping(input),
        Message::FileOpen(FileOpen { id, key, size: Some(offset), name: text }),
        Message::FileData(FileData { id, offset, bytes: input }),
        Message::FileDone(done),
        Message::FileStatus(done.answer(digest)),
        Message::FileStatus(FileStatus::refused(id, code, offset, text)),
        Message::FileCancel(FileCancel { id, code, reason: text }),
        Message::Other { kind, payload: input },
    ]) {
        let _ = black_box(session.send(&message));
        let _ = black_box(session.handle_header(kind, offset));
        if let Ok(event) = black_box(session.handle_frame(kind, input)) {
            black_box(files.handle(&event));
        }
        session.handle_tick();
        black_box(session.poll_transmit());
    }
    let _ = black_box((session.handle_end(), session.check_may_open(), session.error()));
    black_box((session.next_transfer_id(), session.unanswered(), session.owed()));
    session.fail(code);
}

/// A format's own code: what the core does around it, it does with all of them.
fn format<F: Format + Copy>(format: F, meta: F::Meta, input: &[u8], output: &mut [u8]) {
    decode_only(format, input);
    let framing = Framing::new(format).with_limit(black_box(4096));
    let _ = black_box(framing.split_frame(&mut black_box(input)));
    let _ = black_box(framing.encode_into(&meta, input, output));
}

/// All that the core does with a format.
fn each<F: Format + Copy>(format: F, meta: F::Meta, input: &[u8], output: &mut [u8]) {
    let framing = Framing::new(format).with_limit(black_box(4096));

    let mut decoder = Decoder::with_framing(framing);
    let mut rest = black_box(input);
    while let Ok(Some(piece)) = decoder.decode(&mut rest) {
        black_box(&piece);
    }
    for piece in decoder.pieces(black_box(input)) {
        let _ = black_box(&piece);
    }
    let _ = black_box(decoder.for_each(black_box(input), |piece| {
        black_box(&piece);
    }));
    let _ = black_box(decoder.skip_frame());
    let _ = black_box(decoder.finish());
    let _ = black_box((decoder.error(), decoder.position(), decoder.limit()));
    decoder.reset();

    let _ = black_box(framing.split_frame(&mut rest));
    if let Ok(datagram) = framing.datagram_from(input, black_box(9), |_| black_box(true)) {
        black_box(datagram.len());
        datagram.for_each(|frame| {
            black_box((frame.bytes(), frame.header_bytes(), frame.payload));
        });
    }

    let _ = black_box(framing.encode_into(&meta, input, output));
    let mut encoder = Encoder::new(framing);
    if let Ok(header) = encoder.begin(&meta, black_box(9)) {
        black_box(header.as_bytes());
    }
    let _ = black_box((encoder.payload(black_box(&[0; 9])), encoder.finish(), encoder.missing()));
    let mut packer = DatagramPacker::new(framing, output);
    let _ = black_box(packer.push(&meta, input));
    black_box(packer.as_bytes());
    packer.clear();

    buffered(FrameBuf::with_framing([0; 128], Framing::new(format)).ok(), input);
    buffered(FrameBuf::with_framing(output, framing).ok(), input);
}

/// All that the core does with each family of framings, and with every mark and check that ships.
fn families(input: &[u8], output: &mut [u8]) {
    let delimiter = black_box(input);
    whole_frames(Lines::new().or_end(), input, output);
    whole_frames(Delimited::new(delimiter).or_end(), input, output);
    whole_frames(AnyDelimiter::new(delimiter).or_end(), input, output);
    whole_frames(Cobs, input, output);
    whole_frames(Slip::new().with_leading_end(), input, output);
    whole_frames(Hdlc::new(), input, output);
    whole_frames(Marked::new(Cobs).with_check(Crc32Iscsi::new()), input, output);
    if let Some(len) = NonZeroU64::new(black_box(9)) {
        buffered(FrameBuf::with_framing([0; 128], Fixed::new(len)).ok(), input);
        format(Fixed::new(len), (), input, output);
    }
    known_length(Checked::new(U16Be, Crc16X25::new()), input, output);
    known_length(Checked::new(Varint, SkipHeader::new(Fletcher8, black_box(1))), input, output);
    known_length(Checked::new(U32Be, EndBytes::new(*b"\r\n")), input, output);
}

/// Frames that are found again in a buffer.
fn whole_frames<W: Search<Meta = ()> + Copy>(wire: W, input: &[u8], output: &mut [u8]) {
    let framing = Framing::new(wire).with_limit(black_box(64));
    let mut decoder = Decoder::with_framing(framing);
    let mut rest = black_box(input);
    while let Ok(Some(piece)) = decoder.decode(&mut rest) {
        black_box(piece.bytes);
    }
    let _ = black_box((decoder.skip_frame(), decoder.finish(), decoder.error()));
    while let Ok(Some(piece)) = decoder.end() {
        black_box(piece.bytes);
    }
    decoder.set_limit(black_box(9));
    decoder.reset();
    let _ = black_box(framing.encode_into((), input, output));
    if let Ok(mut buf) = FrameBuf::with_framing([0; 256], framing) {
        black_box(buf.extend(black_box(input)));
        while let Ok(Some(frame)) = buf.next_frame() {
            black_box((frame.bytes(), frame.payload));
        }
        let _ = black_box((buf.resync(), buf.skip_frame(), buf.finish(), buf.needed()));
        let _ = black_box(buf.end().map(|frame| frame.map(|frame| frame.payload.len())));
        black_box(buf.spare_exact());
    }
}

/// Frames whose header announces the payload, with a check after it.
fn known_length<F: Format<Meta = ()> + Copy, C: Check + Copy>(
    wire: Checked<F, C>,
    input: &[u8],
    output: &mut [u8],
) {
    whole_frames(wire, input, output);
    let framing = Framing::new(wire).with_limit(black_box(64));
    let _ = black_box(framing.split_frame(&mut black_box(input)).map(|frame| frame.is_some()));
    if let Ok(datagram) = framing.datagram(input) {
        datagram.for_each(|frame| {
            black_box(frame.payload);
        });
    }
    let mut encoder = Encoder::new(framing);
    if let Ok(header) = encoder.begin((), black_box(9)) {
        black_box(header.as_bytes());
    }
    let _ = black_box(encoder.payload(black_box(input)));
    let _ = black_box(encoder.finish().map(|check| check.as_ref().len()));
    if let Ok(mut buf) = FrameBuf::with_framing([0; 256], framing) {
        black_box(buf.extend(black_box(input)));
        let _ = black_box(buf.find_header().map(|header| header.is_some()));
        while let Ok(Some(run)) = buf.find_payload() {
            black_box(buf.payload(&run));
        }
    }
}

fn buffered<S: unstick::Storage, F: Format>(buf: Option<FrameBuf<S, F>>, input: &[u8]) {
    let Some(mut buf) = buf else { return };
    black_box(buf.spare());
    buf.commit(black_box(9));
    black_box(buf.extend(black_box(input)));
    while let Ok(Some(frame)) = buf.next_frame() {
        black_box((frame.bytes(), frame.payload));
    }
    let _ = black_box((buf.skip_frame(), buf.finish(), buf.error(), buf.position()));
    black_box((buf.unread(), buf.capacity(), buf.framing().limit()));
    buf.shrink();
    buf.reset();
    black_box(buf.into_parts().1);
}

fn self_checking<F: SelfChecking + Copy>(
    format: F,
    meta: F::Meta,
    input: &[u8],
    output: &mut [u8],
) {
    each(format, meta, input, output);
    let mut decoder = Decoder::with_framing(format);
    let mut rest = black_box(input);
    let _ = black_box(decoder.resync(&mut rest));
    if let Ok(mut buf) = FrameBuf::with_framing([0; 128], Framing::new(format)) {
        let _ = black_box((buf.extend(input), buf.resync()));
    }
}
