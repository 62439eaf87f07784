//! The vectors of `vectors/*.json`, on every path and under many cuts; and Annex B of the
//! specification, which must say the same.

#[path = "framings.rs"]
mod framings;
#[allow(dead_code)]
#[path = "../../cli/src/conform/play.rs"]
mod play;
#[allow(dead_code)]
#[path = "../../cli/src/conform/vector.rs"]
mod vector;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use play::{Peer, Verdict};
use serde_json::{Value, json};
use unstick::{
    ByteOrder, Covers, DatagramError, DatagramPacker, DecodeError, Decoder, EncodeError,
    FrameError, Framing, HeaderError, Kind, Layout, LengthField, Part, Piece, Pushed, RecoverError,
    V1,
};
use unstick_session::message::{
    Close, Code, Digest, Encoded, FileAttributes, FileCancel, FileData, FileDone, FileOpen,
    FileStatus, Hello, Message, MessageError, RefusedMessage, ResumeKey,
};
use unstick_session::session::{Event, Session, SessionError};
use unstick_testing::chunks::{self, Path, Subject, single_bytes};
use unstick_testing::formats::every_format;
use unstick_testing::oracle::{Outcome, Policy};
use vector::{
    Act, Answer, Expect, Request, Sent, Step, Test, Vector, integer, parse_hex, write_hex,
};

const SPEC: &str = include_str!("../../spec.md");

fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|ext| ext == "json") && name != "schema.json" {
            let text = fs::read_to_string(&path).unwrap();
            let parsed = vector::parse(&text);
            all.extend(parsed.unwrap_or_else(|why| panic!("{}: {why}", path.display())));
        }
    }
    assert!(all.len() >= 1000, "only {}", all.len());
    all
}

/// The vectors of version 1 and of the headers of Annex A.
fn of_formats() -> Vec<Vector> {
    let mut all = vectors();
    all.retain(|vector| !framings::is_framing(&vector.format));
    assert!(all.len() >= 700, "only {}", all.len());
    all
}

/// Cuts beyond those that a vector lists: each single one, and some at random.
fn more_cuts(vector: &Vector, random: usize) -> Vec<Vec<usize>> {
    let len = vector.stream().unwrap().len();
    let mut cuts: Vec<_> = vector.every_cut(len).into_iter().collect();
    if len <= 64 {
        cuts.extend((0..=len).map(|cut| vec![cut]));
    }
    let mut state = 1_u64;
    for _ in 0..random {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(len as u64);
        cuts.push((1..len).filter(|cut| state >> (cut % 60) & 1 == 1).collect());
    }
    cuts
}

// ------------------------------------------------------------------- the core as an implementation

/// The core, as it answers the requests of the protocol: what another language's command does.
struct Core {
    path: Path,
    receiver: Option<Box<dyn Receiver>>,
    session: Session,
}

/// A stream's receiver, of any format.
trait Receiver {
    fn bytes(&mut self, bytes: &[u8]) -> Value;
    fn request(&mut self, request: &str) -> Value;
    fn end(&self) -> Value;
}

struct Stream<F: Subject> {
    decoder: Decoder<F>,
    path: Path,
    /// A resync was begun, and its header is not found.
    searching: bool,
    open: Option<(u64, F::Meta, u64, Vec<u8>)>,
}

impl<F: Subject> Stream<F> {
    fn frame(&self, at: u64, meta: &F::Meta, payload: &[u8]) -> Value {
        let framing = Framing::new(self.decoder.format().clone()).with_limit(u64::MAX);
        let header = framing.encode_header(meta, payload.len() as u64).unwrap();
        let mut frame = json!({
            "at": at, "header": write_hex(header.as_bytes()), "payload": write_hex(payload),
        });
        if let ([kind], true) = (&F::describe(meta)[..], framing.format().self_checking()) {
            frame["kind"] = (*kind).into();
        }
        json!({ "frame": frame })
    }

    /// A piece whose payload begins at this offset of the stream.
    fn piece(&mut self, piece: Piece<'_, F::Meta>, from: u64, events: &mut Vec<Value>) {
        if let Some(header) = piece.header {
            let at = from - header.header_len as u64;
            self.open = Some((at, header.meta, header.payload_len, Vec::new()));
        }
        let (at, meta, len, mut payload) = self.open.take().expect("a header comes first");
        payload.extend(piece.bytes);
        assert_eq!(piece.last, payload.len() as u64 == len);
        if piece.last {
            events.push(self.frame(at, &meta, &payload));
        } else {
            self.open = Some((at, meta, len, payload));
        }
    }

    fn feed(&mut self, input: &mut &[u8], events: &mut Vec<Value>) -> Result<(), DecodeError> {
        let (before, whole) = (self.decoder.position(), *input);
        let offset = |piece: &Piece<'_, F::Meta>| {
            before + (piece.bytes.as_ptr() as usize - whole.as_ptr() as usize) as u64
        };
        let mut pieces = Vec::new();
        let result = match self.path {
            Path::Pieces => {
                let mut all = self.decoder.pieces(whole);
                let mut result = Ok(());
                for item in all.by_ref() {
                    match item {
                        Ok(piece) => pieces.push(piece),
                        Err(error) => result = Err(error),
                    }
                }
                *input = all.rest();
                result
            }
            Path::ForEach => {
                let result = self.decoder.for_each(whole, |piece| pieces.push(piece));
                *input = &whole[(self.decoder.position() - before) as usize..];
                result
            }
            _ => loop {
                match self.decoder.decode(input) {
                    Ok(Some(piece)) => pieces.push(piece),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            },
        };
        for piece in pieces {
            let from = offset(&piece);
            self.piece(piece, from, events);
        }
        result
    }
}

impl<F: Subject> Receiver for Stream<F> {
    fn bytes(&mut self, bytes: &[u8]) -> Value {
        let mut input = bytes;
        let mut events = Vec::new();
        if self.searching {
            if let Some(skipped) = F::resync(&mut self.decoder, &mut input).unwrap() {
                self.searching = false;
                events.push(json!({"found": {"skipped": skipped}}));
            }
        }
        if !self.searching {
            if let Err(error) = self.feed(&mut input, &mut events) {
                self.open = None;
                events.push(json!({ "error": error_json(&error) }));
            }
        }
        json!({"consumed": bytes.len() - input.len(), "events": events})
    }

    fn request(&mut self, request: &str) -> Value {
        let result = match request {
            "reset" => {
                self.decoder.reset();
                (self.searching, self.open) = (false, None);
                return json!({"ok": true});
            }
            // The skip of table 7.4: that of a payload is another request (7.7).
            "skip" if self.decoder.error().is_none() => return json!({"answer": "rejected"}),
            "skip" => self.decoder.skip_frame(),
            _ if !self.decoder.format().self_checking() => return json!({"answer": "not-offered"}),
            // The same call goes on with a search, so there it is no second request.
            _ if self.searching => return json!({"answer": "rejected"}),
            _ => F::resync(&mut self.decoder, &mut &b""[..]).map(|found| {
                assert_eq!(found, None);
                self.searching = true;
            }),
        };
        match result {
            Ok(()) => json!({"answer": "begun"}),
            Err(RecoverError::Failed(error)) if !self.searching => {
                json!({"answer": "same-error", "error": error_json(&error)})
            }
            Err(_) => json!({"answer": "rejected"}),
        }
    }

    fn end(&self) -> Value {
        match self.decoder.finish() {
            Ok(()) => json!({"events": [{"end": true}]}),
            Err(error) => json!({"events": [{ "error": error_json(&error) }]}),
        }
    }
}

fn error_json(error: &DecodeError) -> Value {
    let values = match error {
        DecodeError::Header { error, .. } => match error {
            HeaderError::BadMagic { found } => json!({"name": "bad-magic", "found": found}),
            HeaderError::UnsupportedVersion { found, .. } => {
                json!({"name": "unsupported-version", "found": found})
            }
            HeaderError::InvalidKind => json!({"name": "invalid-kind"}),
            HeaderError::BadCheck { found, expected } => {
                json!({"name": "bad-check", "found": found, "expected": expected})
            }
            HeaderError::NegativeLength { .. } => json!({"name": "bad-length", "why": "negative"}),
            HeaderError::OverlongVarint => json!({"name": "bad-length", "why": "overlong"}),
            HeaderError::VarintOverflow { .. } => {
                json!({"name": "bad-length", "why": "beyond 64 bits"})
            }
            HeaderError::LengthTooShort { .. } => {
                json!({"name": "bad-length", "why": "below the covered header"})
            }
            other => panic!("{other:?}"),
        },
        DecodeError::Oversize { len, limit, .. } => {
            json!({"name": "oversize", "length": len, "limit": limit})
        }
        DecodeError::TooLong { limit, .. } => json!({"name": "oversize", "limit": limit}),
        DecodeError::Frame { error, .. } => match error {
            FrameError::BadCheck { found, expected } => {
                json!({"name": "bad-check", "found": found, "expected": expected})
            }
            FrameError::TooShort { found, min } => {
                json!({"name": "bad-frame", "why": "too short", "found": found, "min": min})
            }
            FrameError::BadEscape { found } => {
                json!({"name": "bad-frame", "why": "bad escape", "found": found})
            }
            FrameError::CutShort { missing } => {
                json!({"name": "bad-frame", "why": "cut short", "missing": missing})
            }
            FrameError::Aborted => json!({"name": "bad-frame", "why": "aborted"}),
            other => panic!("{other:?}"),
        },
        DecodeError::Truncated { missing, part, .. } => {
            let exact = matches!(part, Part::Payload | Part::Trailer);
            json!({"name": "truncated", "missing": missing, "exact": exact})
        }
        DecodeError::Unsynchronized { skipped, .. } => {
            json!({"name": "unsynchronized", "skipped": skipped})
        }
        other => panic!("{other:?}"),
    };
    let mut out = json!({"at": error.at(), "code": error.code()});
    out.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
    out
}

impl Peer for Core {
    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let bytes = |name: &str| parse_hex(request[name].as_str().unwrap()).unwrap();
        let refused = || Ok(json!({"refused": true}));
        Ok(match request["do"].as_str().unwrap() {
            "start" => {
                let Some(format) = format(request) else { return refused() };
                self.receiver = Some(format.receiver(limit(request), self.path));
                json!({"ok": true})
            }
            "bytes" => self.receiver.as_mut().unwrap().bytes(&bytes("bytes")),
            "end" => self.receiver.as_ref().unwrap().end(),
            what @ ("skip" | "resync" | "reset") => self.receiver.as_mut().unwrap().request(what),
            "datagram" => datagram(request, &bytes("bytes")),
            "datagram-messages" => datagram_messages(request, &bytes("bytes")),
            "encode" => {
                let payload = bytes("payload");
                match format(request).unwrap().encode(request, limit(request), &payload) {
                    Some(frame) => json!({ "bytes": write_hex(&frame) }),
                    None => return refused(),
                }
            }
            "encode-header" => {
                let len = number(&request["length"]).unwrap();
                match format(request).unwrap().header(request, limit(request), len) {
                    Some(header) => json!({ "bytes": write_hex(&header) }),
                    None => return refused(),
                }
            }
            "encode-datagram" => match packed(request) {
                Some(datagram) => json!({ "bytes": write_hex(&datagram) }),
                None => return refused(),
            },
            "message" => decoded(request),
            "encode-message" => {
                let text = Strings::of(&request["message"]);
                match text.message(&request["message"]).map(|message| message.encode()) {
                    Some(Ok(encoded)) => json!({
                        "kind": encoded.kind().get(), "payload": write_hex(&encoded.to_payload()),
                    }),
                    _ => return refused(),
                }
            }
            "conversation" => {
                let known = request["known"].as_array().unwrap().iter();
                let known = known.map(|kind| Kind::new(kind.as_u64().unwrap() as u8).unwrap());
                self.session = known.fold(Session::new(), Session::with_kind);
                json!({"ok": true})
            }
            "receive" => self.receive(request),
            "end-of-stream" => match self.session.handle_end() {
                Ok(()) => self.said(json!({"event": "clean"})),
                Err(error) => self.said(session_error(error)),
            },
            "tick" => {
                self.session.handle_tick();
                if request["hold"] == true { json!({}) } else { self.said(json!({})) }
            }
            "drain" => {
                self.session.drain();
                self.said(json!({}))
            }
            "skipped" => match self.session.handle_skipped() {
                Ok(()) => self.said(json!({"event": "nothing"})),
                Err(error) => self.said(session_error(error)),
            },
            "send" => {
                let text = Strings::of(&request["message"]);
                let message = text.message(&request["message"]).unwrap();
                match self.session.send(&message) {
                    Ok(encoded) => json!({"ok": true, "writes": message_json(&encoded)}),
                    Err(_) => return refused(),
                }
            }
            other => panic!("no request: {other}"),
        })
    }
}

// ------------------------------------------------------------------------------- messages

impl Core {
    fn receive(&mut self, request: &Value) -> Value {
        let (kind, payload) = match request.get("message") {
            Some(message) => {
                let text = Strings::of(message);
                let encoded = text.message(message).unwrap().encode().unwrap();
                (encoded.kind(), encoded.to_payload())
            }
            None => raw(request),
        };
        // The header alone tells no other error than the whole does.
        let early = self.session.clone().handle_header(kind, payload.len() as u64);
        let whole = self.session.handle_frame(kind, &payload);
        assert!(early.is_ok() || early.err() == whole.err(), "{early:?}, {whole:?}");
        let answer = match whole {
            Ok(event) => json!({ "event": event_name(&event) }),
            Err(error) => session_error(error),
        };
        if request["hold"] == true { answer } else { self.said(answer) }
    }

    /// The answer, with all that the session says by itself.
    fn said(&mut self, mut answer: Value) -> Value {
        let mut says = Vec::new();
        while let Some(encoded) = self.session.poll_transmit() {
            says.push(message_json(&encoded));
        }
        answer["says"] = says.into();
        answer
    }
}

fn raw(request: &Value) -> (Kind, Vec<u8>) {
    let kind = Kind::new(request["kind"].as_u64().unwrap() as u8).unwrap();
    (kind, parse_hex(request["payload"].as_str().unwrap()).unwrap())
}

fn session_error(error: SessionError) -> Value {
    let code = error.code();
    json!({"error": {"name": code.name().unwrap(), "code": code.0}})
}

fn event_name(event: &Event<'_>) -> &'static str {
    match event {
        Event::Nothing => "nothing",
        Event::Hello(_) => "hello",
        Event::Text(_) => "text",
        Event::Binary(_) => "binary",
        Event::Application { .. } => "application",
        Event::Pong(_) => "pong",
        Event::Close(_) => "close",
        Event::FileOpen(_) => "file-open",
        Event::FileData(_) => "file-data",
        Event::FileDone(_) => "file-done",
        Event::FileCancel(_) => "file-cancel",
        Event::FileAttributes(_) => "file-attributes",
        Event::FileRefused { .. } => "file-refused",
        Event::FileReady(_) => "file-ready",
        Event::FileWorking(_) => "file-working",
        Event::FileEnd(_) => "file-end",
        other => panic!("{other:?}"),
    }
}

fn decoded(request: &Value) -> Value {
    let (kind, payload) = raw(request);
    match Message::decode(kind, &payload) {
        Ok(message) => json!({ "message": message_json(&message.encode().unwrap()) }),
        Err(error) => {
            let code = error.code();
            let mut refused =
                json!({"name": code.name().unwrap(), "code": code.0, "at": error.at()});
            if let MessageError::Name { id, .. } = error {
                refused["transfer"] = id.into();
            }
            json!({ "refused": refused })
        }
    }
}

/// A message as the vectors have it.
fn message_json(encoded: &Encoded<'_>) -> Value {
    let payload = encoded.to_payload();
    let message = Message::decode(encoded.kind(), &payload).unwrap();
    let mut out = match message {
        Message::Hello(Hello { limit, name }) => json!({"limit": limit, "name": name}),
        Message::Text(text) => json!({ "text": text }),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => {
            json!({ "payload": write_hex(bytes) })
        }
        Message::Close(Close { code, reason }) => json!({"code": code.0, "reason": reason}),
        Message::FileOpen(FileOpen { id, key, size, name }) => {
            json!({"transfer": id, "key": write_hex(&key.0), "size": size, "name": name})
        }
        Message::FileData(FileData { id, offset, bytes }) => {
            json!({"transfer": id, "offset": offset, "payload": write_hex(bytes)})
        }
        Message::FileDone(FileDone { id, total, digest }) => {
            json!({"transfer": id, "total": total, "digest": write_hex(&digest.0)})
        }
        Message::FileStatus(FileStatus { id, code, offset, digest, reason }) => json!({
            "transfer": id, "code": code.0, "offset": offset,
            "digest": write_hex(&digest.0), "reason": reason,
        }),
        Message::FileCancel(FileCancel { id, code, reason }) => {
            json!({"transfer": id, "code": code.0, "reason": reason})
        }
        Message::FileAttributes(FileAttributes { id, modified, is_executable }) => {
            json!({"transfer": id, "modified": modified, "executable": is_executable})
        }
        Message::Other { kind, payload } => {
            return json!({"type": "other", "kind": kind.get(), "payload": write_hex(payload)});
        }
        other => panic!("{other:?}"),
    };
    out["type"] = message.kind().name().unwrap().into();
    out
}

/// What a message of the vectors borrows.
struct Strings {
    text: String,
    payload: Vec<u8>,
}

impl Strings {
    fn of(value: &Value) -> Self {
        let names = ["text", "name", "reason"];
        let text = names.iter().find_map(|name| value.get(name)?.as_str()).unwrap_or_default();
        let payload = value.get("payload").map(|payload| parse_hex(payload.as_str().unwrap()));
        Self { text: text.to_owned(), payload: payload.transpose().unwrap().unwrap_or_default() }
    }

    fn message(&self, value: &Value) -> Option<Message<'_>> {
        let number = |name: &str| number(&value[name]).unwrap();
        let array = |name: &str| parse_hex(value[name].as_str().unwrap()).unwrap();
        let id = || u32::try_from(number("transfer")).unwrap();
        let code = || Code(u16::try_from(number("code")).unwrap());
        let digest = || Digest(array("digest").try_into().unwrap());
        let (text, bytes) = (self.text.as_str(), self.payload.as_slice());
        Some(match value["type"].as_str()? {
            "hello" => {
                Message::Hello(Hello { limit: u32::try_from(number("limit")).unwrap(), name: text })
            }
            "text" => Message::Text(text),
            "binary" => Message::Binary(bytes),
            "ping" => Message::Ping(bytes),
            "pong" => Message::Pong(bytes),
            "close" => Message::Close(Close { code: code(), reason: text }),
            "file-open" => Message::FileOpen(FileOpen {
                id: id(),
                key: ResumeKey(array("key").try_into().unwrap()),
                size: (!value["size"].is_null()).then(|| number("size")),
                name: text,
            }),
            "file-data" => {
                Message::FileData(FileData { id: id(), offset: number("offset"), bytes })
            }
            "file-done" => {
                Message::FileDone(FileDone { id: id(), total: number("total"), digest: digest() })
            }
            "file-status" => Message::FileStatus(FileStatus {
                id: id(),
                code: code(),
                offset: number("offset"),
                digest: digest(),
                reason: text,
            }),
            "file-cancel" => {
                Message::FileCancel(FileCancel { id: id(), code: code(), reason: text })
            }
            "file-attributes" => Message::FileAttributes(FileAttributes {
                id: id(),
                modified: (!value["modified"].is_null()).then(|| {
                    integer(&value["modified"]).and_then(|time| time.try_into().ok()).unwrap()
                }),
                is_executable: value["executable"].as_bool().unwrap(),
            }),
            _ => Message::Other {
                kind: Kind::new(u8::try_from(number("kind")).unwrap())?,
                payload: bytes,
            },
        })
    }
}

fn number(value: &Value) -> Option<u64> {
    integer(value).and_then(|number| number.try_into().ok())
}

fn limit(request: &Value) -> Option<u64> {
    request.get("limit").map(|limit| number(limit).unwrap())
}

fn framing<F: unstick::Format>(format: F, limit: Option<u64>) -> Framing<F> {
    let framing = Framing::new(format);
    match limit {
        Some(limit) => framing.with_limit(limit),
        None => framing,
    }
}

fn datagram(request: &Value, bytes: &[u8]) -> Value {
    let framing = framing(V1, limit(request));
    let known: Vec<_> = request["known"].as_array().unwrap().iter().map(Value::as_u64).collect();
    let reported = bytes.len() + usize::from(request["cut"] == true);
    let taken = framing
        .datagram_from(bytes, reported, |kind: &Kind| known.contains(&Some(u64::from(kind.get()))));
    let cause = match taken {
        Ok(datagram) => {
            let frames = datagram.map(|frame| {
                let at = frame.bytes().as_ptr() as usize - bytes.as_ptr() as usize;
                json!({"at": at, "kind": frame.meta.get(), "payload": write_hex(frame.payload)})
            });
            return json!({ "frames": frames.collect::<Vec<_>>() });
        }
        Err(error) => {
            assert_eq!(error.code(), 0x000B);
            match error {
                DatagramError::Cut { room } => {
                    assert_eq!(room, bytes.len());
                    json!({"name": "cut"})
                }
                DatagramError::Empty => json!({"name": "empty", "at": 0}),
                DatagramError::Malformed(error) => error_json(&error),
                DatagramError::MisplacedKind { at, kind } => {
                    json!({"name": "misplaced-kind", "at": at, "found": kind})
                }
                DatagramError::UnknownKind { at, kind } => {
                    json!({"name": "unknown-kind", "code": 7, "at": at, "found": kind})
                }
                other => panic!("{other:?}"),
            }
        }
    };
    json!({ "refused": cause })
}

/// The same, where messages are read.
fn datagram_messages(request: &Value, bytes: &[u8]) -> Value {
    let frames = datagram(request, bytes);
    let Some(all) = frames["frames"].as_array() else { return frames };
    let frames: Vec<_> = all.iter().map(raw).collect();
    let pairs = frames.iter().map(|(kind, payload)| (*kind, payload.as_slice()));
    match Message::decode_all(pairs) {
        Ok(messages) => {
            let messages = messages.map(|message| message_json(&message.encode().unwrap()));
            json!({ "messages": messages.collect::<Vec<_>>() })
        }
        Err(RefusedMessage { index, error, .. }) => {
            let code = error.code();
            let at = &all[index]["at"];
            json!({"refused": {"name": code.name().unwrap(), "code": code.0, "at": at}})
        }
    }
}

/// The datagram of these frames; none if one of them does not come in.
fn packed(request: &Value) -> Option<Vec<u8>> {
    let framing = framing(V1, limit(request));
    let mut storage = [0xEE; 2_000];
    let mut packer = match request.get("datagram_limit") {
        Some(most) => {
            let most = number(most).unwrap() as usize;
            DatagramPacker::with_datagram_limit(framing, &mut storage, most)
        }
        None => DatagramPacker::new(framing, &mut storage),
    };
    for frame in request["frames"].as_array().unwrap() {
        let kind = Kind::new(frame["kind"].as_u64().unwrap() as u8)?;
        let payload = parse_hex(frame["payload"].as_str().unwrap()).unwrap();
        let before = packer.as_bytes().len();
        if packer.push(kind, &payload) != Ok(Pushed::Added) {
            assert_eq!(packer.as_bytes().len(), before, "a refusal writes nothing");
            return None;
        }
    }
    Some(packer.as_bytes().to_vec()).filter(|datagram| !datagram.is_empty())
}

/// What a vector asks of a format, whichever it is.
trait AnyFormat {
    fn receiver(&self, limit: Option<u64>, path: Path) -> Box<dyn Receiver>;
    fn encode(&self, request: &Value, limit: Option<u64>, payload: &[u8]) -> Option<Vec<u8>>;
    fn header(&self, request: &Value, limit: Option<u64>, len: u64) -> Option<Vec<u8>>;
    fn on_every_path(&self, vector: &Vector, steps: &[Step], policy: Policy);
}

/// The meta that an encoder is asked for.
trait Asked: Subject {
    fn asked(&self, request: &Value) -> Option<Self::Meta>;
}

impl Asked for V1 {
    fn asked(&self, request: &Value) -> Option<Kind> {
        Kind::new(request["kind"].as_u64().unwrap() as u8)
    }
}

impl Asked for LengthField {
    fn asked(&self, request: &Value) -> Option<unstick::FieldMeta> {
        self.meta(&parse_hex(request["header"].as_str().unwrap()).unwrap()).ok()
    }
}

macro_rules! plain {
    ($($name:ident)+) => {$(
        impl Asked for unstick::$name {
            fn asked(&self, _: &Value) -> Option<()> {
                Some(())
            }
        }
    )+};
}

plain!(U8 U16Be U16Le U24Be U24Le U32Be U32Le U64Be U64Le I32Be I32Le Varint);

impl<F: Asked + 'static> AnyFormat for F {
    fn receiver(&self, limit: Option<u64>, path: Path) -> Box<dyn Receiver> {
        let decoder = Decoder::with_framing(framing(self.clone(), limit));
        Box::new(Stream { decoder, path, searching: false, open: None })
    }

    fn encode(&self, request: &Value, limit: Option<u64>, payload: &[u8]) -> Option<Vec<u8>> {
        let meta = self.asked(request)?;
        let mut out = Vec::new();
        let result: Result<_, EncodeError> =
            framing(self.clone(), limit).encode(&meta, payload, &mut out);
        assert_eq!(result.is_err(), out.is_empty(), "a refusal writes nothing");
        result.is_ok().then_some(out)
    }

    fn header(&self, request: &Value, limit: Option<u64>, len: u64) -> Option<Vec<u8>> {
        let header = framing(self.clone(), limit).encode_header(&self.asked(request)?, len);
        Some(header.ok()?.as_bytes().to_vec())
    }

    fn on_every_path(&self, vector: &Vector, steps: &[Step], policy: Policy) {
        let limit = vector.limit.as_ref().map(|limit| number(limit).unwrap());
        on_every_path(&framing(self.clone(), limit), vector, steps, policy);
    }
}

/// The format that a request names; none if it cannot be.
fn format(request: &Value) -> Option<Box<dyn AnyFormat>> {
    fn each<F: Asked + 'static>(format: &F, name: &str, found: &mut Option<Box<dyn AnyFormat>>) {
        if format!("{format:?}").to_lowercase() == name {
            *found = Some(Box::new(format.clone()));
        }
    }
    let name = request["format"].as_str().unwrap();
    if let Some(text) = name.strip_prefix("field:") {
        return Some(Box::new(layout(text)?));
    }
    let mut found = None;
    every_format!([], each, name, &mut found);
    assert!(found.is_some(), "unknown format {name}");
    found
}

fn layout(text: &str) -> Option<LengthField> {
    let parts: BTreeMap<_, _> = text.split(',').map(|part| part.split_once('=').unwrap()).collect();
    let number = |name: &str| parts[name].parse::<usize>().unwrap();
    let layout = Layout {
        header_len: number("header"),
        offset: number("offset"),
        width: number("width"),
        order: if parts["order"] == "le" { ByteOrder::Little } else { ByteOrder::Big },
        covers: match parts["covers"] {
            "payload" => Covers::Payload,
            "rest" => Covers::AfterField,
            "frame" => Covers::Frame,
            other => panic!("unknown cover {other:?}"),
        },
    };
    LengthField::new(layout).ok()
}

// spec: HDR-10, HDR-11, LIM-5, FMT-4, FMT-13, DGM-1, DGM-2, DGM-4, DGM-5, DGM-6, DGM-8, DGM-9, DGM-10
#[test]
fn every_vector_step_by_step() {
    for path in [Path::Decode, Path::Pieces, Path::ForEach] {
        let mut core = Core { path, receiver: None, session: Session::new() };
        for mut vector in of_formats() {
            if vector.test == Test::Stream {
                vector.cuts = more_cuts(&vector, 10);
            } else if path != Path::Decode {
                continue;
            }
            let verdict = play::play(&vector, &mut core);
            assert_eq!(verdict, Verdict::Pass, "{}, {path:?}", vector.id);
        }
    }
}

/// An implementation that says the opposite of one answer fails: the vectors have an effect.
#[test]
fn a_wrong_answer_is_seen() {
    struct Wrong(Core);
    impl Peer for Wrong {
        fn ask(&mut self, request: &Value) -> Result<Value, String> {
            let mut answer = self.0.ask(request)?;
            match request["do"].as_str().unwrap() {
                "bytes" => answer["consumed"] = json!(answer["consumed"].as_u64().unwrap() + 1),
                "start" => {}
                _ => answer = json!({"events": [], "answer": "begun?"}),
            }
            Ok(answer)
        }
    }
    let mut wrong = Wrong(Core { path: Path::Decode, receiver: None, session: Session::new() });
    for vector in of_formats().iter().filter(|vector| vector.test != Test::SetUp) {
        assert!(matches!(play::play(vector, &mut wrong), Verdict::Fail(_)), "{}", vector.id);
    }
}

// ------------------------------------------------------------------- the core, on its other paths

/// The policy under which a driver that asks after every error makes just these requests.
fn policy(steps: &[Step]) -> Option<Policy> {
    let asks = |request| {
        steps.iter().any(|s| s.request == Some(request) && s.answer == Some(Answer::Begun))
    };
    let policy = Policy { skip: asks(Request::Skip), resync: asks(Request::Resync) };
    for (i, step) in steps.iter().enumerate() {
        let next = steps.get(i + 1);
        match (&step.error, step.request) {
            (Some(error), _) if !step.is_end() => {
                let wanted = if policy.skip && error["name"] == "oversize" {
                    Some(Request::Skip)
                } else {
                    policy.resync.then_some(Request::Resync)
                };
                if next.and_then(|next| next.request) != wanted {
                    return None;
                }
            }
            (_, Some(Request::Reset)) => return None,
            (_, Some(_)) if step.answer != Some(Answer::Begun) => return None,
            _ => {}
        }
    }
    Some(policy)
}

fn on_every_path<F: Subject>(
    framing: &Framing<F>,
    vector: &Vector,
    steps: &[Step],
    policy: Policy,
) {
    let stream = vector.stream().unwrap();
    let mut cuts = more_cuts(vector, 50);
    cuts.push(single_bytes(&stream));
    let steps: Vec<_> = steps.iter().filter(|step| step.request.is_none()).collect();
    for path in Path::ALL.into_iter().filter(|path| path.allows(policy)) {
        // A storage too small for the vector's limit has another one, and shows it where the
        // vector has long payloads.
        let most = path.limit(framing);
        let long = |step: &&&Step| {
            let frame = step.frame.as_ref().map(|f| f["payload"].as_str().unwrap());
            let missing = step.error.as_ref().and_then(|error| number(error.get("missing")?));
            let oversize = step.error.as_ref().is_some_and(|error| error["name"] == "oversize");
            frame.is_some_and(|p| parse_hex(p).unwrap().len() as u64 > most)
                || missing.is_some_and(|missing| missing > 32)
                || oversize
        };
        if most < framing.limit() && steps.iter().any(|step| long(&step)) {
            continue;
        }
        let visible = |step: &&&Step| {
            path != Path::Split || step.error.as_ref().is_none_or(|e| e["name"] != "truncated")
        };
        let want: Vec<_> = steps.iter().filter(visible).collect();
        for cuts in &cuts {
            let got = chunks::run(framing, &stream, cuts, path, policy);
            let got: Vec<_> =
                got.iter().filter(|got| !matches!(got, Outcome::Begun { .. })).collect();
            let same =
                want.len() == got.len() && want.iter().zip(&got).all(|(want, got)| same(want, got));
            assert!(same, "{}, {path:?}, cuts {cuts:?}:\n{want:#?}\n{got:#?}", vector.id);
        }
    }
}

fn same(step: &Step, outcome: &Outcome) -> bool {
    let event = match outcome {
        Outcome::End => json!({"end": true}),
        Outcome::Found { skipped } => json!({"found": {"skipped": skipped}}),
        Outcome::Error { error, position } => {
            // The path of whole slices does not count what it consumes.
            if *position != 0 && *position != step.after as u64 {
                return false;
            }
            json!({ "error": error_json(error) })
        }
        Outcome::Frame { at, meta, header, payload } => json!({"frame": {
            "at": at, "kind": meta.first(), "header": write_hex(header),
            "payload": write_hex(payload),
        }}),
        Outcome::Begun { .. } => return false,
    };
    play::fits("", &step.event().unwrap(), &event)
}

#[test]
fn every_stream_on_every_path() {
    let mut ran = 0;
    for vector in of_formats() {
        let (Expect::Steps(steps), true) = (&vector.expect, vector.or.is_empty()) else { continue };
        let Some(policy) = policy(steps) else { continue };
        let format = format(&json!({ "format": vector.format })).unwrap();
        format.on_every_path(&vector, steps, policy);
        ran += 1;
    }
    assert!(ran >= 300, "only {ran}");
}

// ------------------------------------------------------------------- Annex B

/// The cells of a section's vector table, and the section.
struct Row {
    section: &'static str,
    cells: Vec<&'static str>,
}

/// Every row of every table of vectors in Annex B.
fn rows() -> Vec<Row> {
    let (_, annex) = SPEC.split_once("## Annex B").expect("there is an Annex B");
    let annex = annex.split("\n## ").next().unwrap();
    let mut rows = Vec::new();
    let (mut section, mut vectors) = ("", false);
    for line in annex.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            section = heading.split(' ').next().unwrap();
        }
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            vectors &= line.starts_with('|');
            continue;
        };
        let cells: Vec<_> = cells.split(" | ").collect();
        if cells[0] == "id" {
            vectors = true;
        } else if vectors && !cells[0].starts_with("---") {
            rows.push(Row { section, cells });
        }
    }
    rows
}

/// Bytes as a table of Annex B has them.
fn cell(bytes: &[u8], if_none: &str) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    if bytes.is_empty() { if_none.to_owned() } else { format!("`{}`", digits.join(" ")) }
}

fn hex_cell(text: &Value, if_none: &str) -> String {
    cell(&parse_hex(text.as_str().unwrap()).unwrap(), if_none)
}

fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let place = |i: usize| i > 0 && (digits.len() - i) % 3 == 0;
    let each = |(i, digit)| if place(i) { format!(",{digit}") } else { format!("{digit}") };
    digits.chars().enumerate().map(each).collect()
}

/// An error, or the cause of a refusal. `behind` are the failed frame's consumed bytes.
fn error_cell(error: &Value, behind: &[u8]) -> String {
    let byte = |name: &str| format!("`{:02X}`", error[name].as_u64().unwrap());
    let whole = |name: &str| number(&error[name]).unwrap();
    let name = error["name"].as_str().unwrap();
    let rest = match name {
        "cut" => return name.to_owned(),
        "bad-magic" | "unsupported-version" | "misplaced-kind" | "unknown-kind" => {
            format!(" found {}", byte("found"))
        }
        "bad-check" => format!(" found {} expected {}", byte("found"), byte("expected")),
        "oversize" => format!(" length {} limit {}", whole("length"), whole("limit")),
        "truncated" => {
            let least = if error["exact"] == true { "" } else { "at least " };
            format!(" missing {least}{}", whole("missing"))
        }
        "unsynchronized" => format!(" skipped {}", whole("skipped")),
        "bad-length" => format!(" {} behind {}", error["why"].as_str().unwrap(), cell(behind, "")),
        _ => String::new(),
    };
    format!("{name} at {}{rest}", whole("at"))
}

fn frame_cell(frame: &Value) -> String {
    let kind = frame.get("kind").map(|kind| format!("kind `{:02X}` ", kind.as_u64().unwrap()));
    let header = frame.get("header").map(|header| format!("header {} ", hex_cell(header, "")));
    let meta = kind.or(header).unwrap_or_default();
    format!("frame {meta}at {} {}", frame["at"], hex_cell(&frame["payload"], "empty"))
}

/// The outcomes of a stream, as Annex B writes them.
fn steps_cell(steps: &[Step], stream: &[u8]) -> String {
    let mut cells = Vec::new();
    let mut last = String::new();
    for step in steps {
        if let Some(frame) = &step.frame {
            cells.push(frame_cell(frame));
        } else if let Some(found) = &step.found {
            cells.push(format!("found, skipped {}", found["skipped"]));
        } else if let Some(error) = &step.error {
            let from = number(&error["at"]).unwrap() as usize;
            last =
                format!("error {}", error_cell(error, &stream[from.min(step.after)..step.after]));
            cells.push(last.clone());
        } else if let Some(request) = step.request {
            cells.push(request.name().to_uppercase());
            if step.answer == Some(Answer::SameError) {
                cells.push(last.clone());
            }
        } else {
            cells.push("end".to_owned());
        }
    }
    cells.join("; ")
}

/// `h 4, o 1, w 2, big, rest`, or the format's name.
fn format_cell(name: &str) -> String {
    let Some(text) = name.strip_prefix("field:") else { return name.to_owned() };
    let parts: BTreeMap<_, _> = text.split(',').map(|part| part.split_once('=').unwrap()).collect();
    let order = match (parts["width"], parts["order"]) {
        ("1", _) => "",
        (_, "le") => "little, ",
        _ => "big, ",
    };
    let [h, o, w, covers] = ["header", "offset", "width", "covers"].map(|name| parts[name]);
    format!("h {h}, o {o}, w {w}, {order}{covers}")
}

/// A payload that an encoder is asked for; long ones are zeros, and only counted.
fn payload_cell(payload: &[u8]) -> String {
    if payload.len() > 16 {
        format!("payload of {} bytes", grouped(payload.len()))
    } else {
        format!("payload {}", cell(payload, "empty"))
    }
}

/// What an encoder is asked for, and what comes out, as B.8 has them.
fn encoder_cells(vector: &Vector) -> (String, String) {
    let Expect::Answer(expect) = &vector.expect else { panic!("{}", vector.id) };
    let written = expect.get("bytes").map(|bytes| parse_hex(bytes.as_str().unwrap()).unwrap());
    let refused = "refused, nothing written".to_owned();
    let bytes = |text: &Value| parse_hex(text.as_str().unwrap()).unwrap();
    if let Some(frames) = &vector.frames {
        let payload = bytes(&frames[0]["payload"]);
        let zeros = if written.is_some() { " 0x00" } else { "" };
        let asked = format!(
            "kind 0x{:02X}, {}{zeros}, in a datagram of the default limit",
            frames[0]["kind"].as_u64().unwrap(),
            payload_cell(&payload)
        );
        let out = written.map_or(refused, |written| {
            let len = grouped(written.len());
            format!("one datagram of {len} bytes, beginning {}", cell(&written[..8], ""))
        });
        return (asked, out);
    }
    let payload = parse_hex(vector.payload.as_deref().unwrap()).unwrap();
    let asked = match (vector.kind, payload.len() <= 16) {
        (Some(kind), _) => format!("kind 0x{kind:02X}, {}", payload_cell(&payload)),
        (None, short) => {
            let format = format_cell(&vector.format);
            let comma = if format.contains(',') { ";" } else { "," };
            assert!(!short || comma == ";", "{}", vector.id);
            format!("{format}{comma} {}", payload_cell(&payload))
        }
    };
    let out = written.map_or(refused, |written| match payload.len() {
        0..=16 => cell(&written, ""),
        len => format!("header {}", cell(&written[..written.len() - len], "")),
    });
    (asked, out)
}

/// The members of messages, in the order in which Annex B has them.
const MEMBERS: [&str; 12] = [
    "limit", "code", "transfer", "key", "size", "offset", "total", "digest", "name", "text",
    "reason", "payload",
];

/// Hexadecimal text with repetitions, as it stands.
fn raw_cell(text: &Value) -> String {
    let text = text.as_str().unwrap();
    if text.is_empty() { "empty".to_owned() } else { format!("`{text}`") }
}

/// A message, or a kind and a payload that may be none.
fn message_cell(message: &Value) -> String {
    let Some(name) = message.get("type") else {
        let kind = message["kind"].as_u64().unwrap();
        return format!("kind `{kind:02X}` payload {}", raw_cell(&message["payload"]));
    };
    let member = |name: &&str| {
        let value = message.get(*name)?;
        Some(match *name {
            "key" | "digest" | "payload" => format!("{name} {}", raw_cell(value)),
            "name" | "text" | "reason" => format!("{name} \"{}\"", value.as_str().unwrap()),
            "code" => format!("code 0x{:04X}", value.as_u64().unwrap()),
            _ if value.is_null() => format!("{name} not known"),
            _ => format!("{name} {}", number(value).unwrap()),
        })
    };
    let members: Vec<_> = MEMBERS.iter().filter_map(member).collect();
    let known = message.as_object().unwrap().len() - 1;
    assert_eq!(members.len(), known, "a member that the annex does not show: {message}");
    format!("{} {}", name.as_str().unwrap(), members.join(", "))
}

/// What happens in a conversation, as B.10 has it.
fn act_cell(act: &Act) -> String {
    let other = act.hold || act.drain.is_some() || act.skipped.is_some() || act.writes.is_some();
    assert!(!other, "the annex has no word for it");
    if let Some(message) = &act.send {
        let answer = if act.answer == Some(Sent::Ok) { "ok" } else { "refused" };
        return format!("send {}: {answer}", message_cell(message));
    }
    let what = match &act.receive {
        Some(message) => format!("receive {}", message_cell(message)),
        None if act.end == Some(true) => "end".to_owned(),
        None => "tick".to_owned(),
    };
    let came = match (&act.event, &act.error) {
        (Some(event), _) => event.as_str().unwrap().to_owned(),
        (None, error) => format!("error {}", error.as_ref().unwrap()["name"].as_str().unwrap()),
    };
    let says = act.says.iter().flat_map(|says| says.as_array().unwrap());
    let says: String = says.map(|message| format!(", says {}", message_cell(message))).collect();
    format!("{what}: {came}{says}")
}

/// What a row of part 2 has to say behind its id.
fn part_2_cells(vector: &Vector) -> Vec<String> {
    match &vector.expect {
        Expect::Acts(acts) => {
            assert!(vector.known.is_empty(), "{}", vector.id);
            vec![acts.iter().map(act_cell).collect::<Vec<_>>().join("; ")]
        }
        Expect::Answer(expect) => {
            let payload = Value::from(vector.payload.clone().unwrap());
            let out = match (expect.get("message"), expect.get("refused")) {
                (Some(message), _) => message_cell(message),
                (_, refused) => {
                    let refused = refused.unwrap();
                    let transfer = refused.get("transfer").map(|id| format!(", transfer {id}"));
                    let (name, at) = (refused["name"].as_str().unwrap(), &refused["at"]);
                    format!("refused: {name} at {at}{}", transfer.unwrap_or_default())
                }
            };
            vec![format!("`{:02X}`", vector.kind.unwrap()), raw_cell(&payload), out]
        }
        Expect::Steps(_) => panic!("{} is of part 1", vector.id),
    }
}

/// Every row of Annex B stands in the JSON files with the same content.
#[test]
fn annex_b_says_the_same() {
    let vectors: BTreeMap<_, _> =
        vectors().into_iter().map(|vector| (vector.id.clone(), vector)).collect();
    let rows = rows();
    for row in &rows {
        let id = row.cells[0];
        let vector = vectors.get(id).unwrap_or_else(|| panic!("no vector {id}"));
        if ["B.9", "B.10"].contains(&row.section) {
            let mut want = vec![id.to_owned()];
            want.extend(part_2_cells(vector));
            assert_eq!(row.cells, want);
            continue;
        }
        let stream = vector.stream().unwrap();
        let limit = grouped(number(vector.limit.as_ref().unwrap()).unwrap() as usize);
        let mut want = vec![id.to_owned()];
        match (row.section, &vector.expect) {
            ("B.8", _) => {
                let (asked, out) = encoder_cells(vector);
                want.extend([asked, limit, out]);
            }
            ("B.6", Expect::Answer(expect)) => {
                assert_eq!(vector.known, [0x40], "{id}");
                let out = match (expect.get("frames"), expect.get("refused")) {
                    (Some(frames), _) if frames.as_array().unwrap().is_empty() => {
                        "taken, nothing delivered".to_owned()
                    }
                    (Some(frames), _) => {
                        let frames = frames.as_array().unwrap().iter().map(frame_cell);
                        frames.collect::<Vec<_>>().join("; ")
                    }
                    (_, refused) => format!("refused: {}", error_cell(refused.unwrap(), &[])),
                };
                want.extend([cell(&stream, "(none)"), limit, out]);
            }
            (section, Expect::Steps(steps)) => {
                if section == "B.7" {
                    want.push(format_cell(&vector.format));
                } else {
                    assert_eq!(vector.format, "v1", "{id}");
                }
                want.extend([cell(&stream, "(none)"), limit, steps_cell(steps, &stream)]);
            }
            _ => panic!("{id} in {}", row.section),
        }
        assert_eq!(row.cells, want);
    }
    for section in (1..=10).map(|number| format!("B.{number}")) {
        assert!(rows.iter().any(|row| row.section == section), "{section}");
    }
}

/// No row of the annex is passed over: every one there is was parsed, and ids stand there once.
#[test]
fn every_row_was_parsed() {
    let rows = rows();
    let ids: BTreeSet<_> = rows.iter().map(|row| row.cells[0]).collect();
    assert_eq!(ids.len(), rows.len(), "ids are unique");
    let (_, annex) = SPEC.split_once("\n### B.1").unwrap();
    let annex = annex.split("\n## ").next().unwrap();
    let lines = annex.lines().filter(|line| line.starts_with('|'));
    let data = lines.filter(|line| !line.starts_with("| ---") && !line.starts_with("| id |"));
    assert_eq!(data.count(), rows.len());
}

/// Ids are unique and begin with a section that exists, and requirements exist.
#[test]
fn vectors_refer_to_what_exists() {
    let mut ids = BTreeSet::new();
    for vector in vectors() {
        assert!(ids.insert(vector.id.clone()), "{} is there twice", vector.id);
        let section = vector.section();
        let headings = [format!("# {section} "), format!("# Annex {section}:")];
        assert!(headings.iter().any(|heading| SPEC.contains(heading)), "{}", vector.id);
        for id in &vector.requirements {
            assert!(SPEC.contains(&format!("**[{id}]**")), "{}: {id}", vector.id);
        }
        assert!(vector.about.ends_with('.'), "{}: a sentence", vector.id);
    }
}

/// The rows of the table in `vectors/README.md` that has this heading in its first cell.
fn readme_rows(heading: &str) -> Vec<Vec<&'static str>> {
    let readme = include_str!("../../vectors/README.md");
    let (_, table) = readme.split_once(&format!("\n| {heading} |")).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').map(str::trim).collect()).collect()
}

/// Calls `each` with every object that stands under one of these names.
fn under(names: &[&str], value: &Value, each: &mut dyn FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let (true, Some(object)) = (names.contains(&name.as_str()), value.as_object()) {
                    each(object);
                }
                under(names, value, each);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| under(names, item, each)),
        _ => {}
    }
}

/// Nobody has to guess the members of an error, or the name of an event.
#[test]
fn the_readme_lists_every_error_and_event() {
    let (errors, events) = (readme_rows("`name`"), readme_rows("`event`"));
    let lists = |cell: &str, name: &str| cell.contains(&format!("`{name}`"));
    let mut seen = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "json") || path.ends_with("schema.json") {
            continue;
        }
        let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        under(&["error", "refused"], &file, &mut |error| {
            seen += 1;
            let name = error["name"].as_str().unwrap();
            let members = || error.keys().filter(|key| *key != "name" && *key != "code");
            let whole = |row: &&Vec<&str>| {
                lists(row[1], name) && members().all(|member| lists(row[3], member))
            };
            assert!(errors.iter().any(|row| whole(&row)), "{error:?}");
        });
    }
    assert!(seen > 500, "{seen}");
    let schema: Value = serde_json::from_str(include_str!("../../vectors/schema.json")).unwrap();
    for event in schema["$defs"]["act"]["properties"]["event"]["enum"].as_array().unwrap() {
        let event = event.as_str().unwrap();
        assert!(events.iter().any(|row| lists(row[1], event)), "{event}");
    }
}

/// The specification fixes no order of what a session says by itself.
#[test]
fn several_messages_may_come_in_any_order() {
    for vector in vectors() {
        for expect in vector.every_expect() {
            let Expect::Acts(acts) = expect else { continue };
            for act in acts {
                let count = act.says.as_ref().map_or(0, |says| says.as_array().unwrap().len());
                assert_eq!(act.any_order, count > 1, "{}", vector.id);
            }
        }
    }
}

/// A session that says what is expected in another order passes where the order is free only.
#[test]
fn an_order_is_compared_where_it_counts() {
    struct Reversed(Core);
    impl Peer for Reversed {
        fn ask(&mut self, request: &Value) -> Result<Value, String> {
            let mut answer = self.0.ask(request)?;
            if let Some(Value::Array(says)) = answer.get_mut("says") {
                says.reverse();
            }
            Ok(answer)
        }
    }
    let core = || Core { path: Path::Decode, receiver: None, session: Session::new() };
    let vectors = vectors();
    let mut vector =
        vectors.iter().find(|vector| vector.id == "15.5-held-refusals").unwrap().clone();
    assert_eq!(play::play(&vector, &mut Reversed(core())), Verdict::Pass);
    let Expect::Acts(acts) = &mut vector.expect else { panic!("a conversation") };
    acts.last_mut().unwrap().any_order = false;
    assert!(matches!(play::play(&vector, &mut Reversed(core())), Verdict::Fail(_)));
    assert_eq!(play::play(&vector, &mut core()), Verdict::Pass);
    // A message too many or too few is seen in any order.
    let Expect::Acts(acts) = &mut vector.expect else { panic!("a conversation") };
    let last = acts.last_mut().unwrap();
    last.any_order = true;
    let says = last.says.as_mut().unwrap().as_array_mut().unwrap();
    let one = says.pop().unwrap();
    assert!(matches!(play::play(&vector, &mut core()), Verdict::Fail(_)));
    let Expect::Acts(acts) = &mut vector.expect else { panic!("a conversation") };
    let says = acts.last_mut().unwrap().says.as_mut().unwrap().as_array_mut().unwrap();
    says.extend([one.clone(), one]);
    assert!(matches!(play::play(&vector, &mut core()), Verdict::Fail(_)));
}
