//! What JavaScript sees.

use std::cell::RefCell;

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::examples;
use crate::input;
use crate::inspect::shape::Shape;
use crate::listing::{Event, Failure, Frame, Listing};
use crate::parts::parts;
use crate::wire::AnyWire;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** A format, by the name that the command's `--format` takes. */
export interface Format { name: string; group: string; what: string; example: Uint8Array }
/** A run of bytes of a frame, from the offset `from` up to `to`. */
export interface Part { kind: "header" | "payload" | "escape" | "mark" | "check"; from: number; to: number }
/** A frame, or its beginning if it is not complete. Offsets count from the stream's first byte. */
export interface Frame {
  type: "frame"; at: number; end: number; kind?: string; header?: string; length?: number;
  payload: Uint8Array; preview: string; meaning?: string; complete: boolean; parts?: Part[];
}
/** Why a stream cannot be decoded: the frame at `at`, because of the byte at `byte`. */
export interface Failure { type: "error"; at: number; byte: number; code: number; name: string; message: string; advice?: string }
/** After an error, decoding went on at `found`; without it, nothing was found up to the end. */
export interface Search { type: "search"; found?: number; skipped: number }
export type Event = Frame | Failure | Search;
/** How to decode: the maximum length of a payload, and whether to go on after an error. */
export interface Options { limit?: number | bigint; goOn?: boolean }
/** The bytes that one side has sent. `cuts` are the offsets at which packets ended. */
export interface Stream { name: string; bytes: Uint8Array; cuts: number[]; notes: string[] }
"#;

#[wasm_bindgen]
extern "C" {
    /// An array of events.
    #[wasm_bindgen(typescript_type = "Event[]")]
    pub type Events;
    /// An array of formats.
    #[wasm_bindgen(typescript_type = "Format[]")]
    pub type Formats;
    /// An array of streams.
    #[wasm_bindgen(typescript_type = "Stream[]")]
    pub type Streams;
    /// How to decode.
    #[wasm_bindgen(typescript_type = "Options")]
    pub type Options;
}

thread_local! {
    /// The delimiters so far: each lives as long as the program.
    static DELIMITERS: RefCell<Vec<(String, Shape)>> = const { RefCell::new(Vec::new()) };
}

fn shape(name: &str) -> Result<Shape, JsError> {
    let known = |known: &RefCell<Vec<(String, Shape)>>| {
        known.borrow().iter().find(|(text, _)| text == name).map(|(_, shape)| *shape)
    };
    if let Some(shape) = DELIMITERS.with(known) {
        return Ok(shape);
    }
    let shape: Shape = name.parse().map_err(|error: String| JsError::new(&error))?;
    if name.starts_with("delim:") {
        DELIMITERS.with(|known| known.borrow_mut().push((name.to_owned(), shape)));
    }
    Ok(shape)
}

fn set(object: &Object, name: &str, value: impl Into<JsValue>) {
    // A plain object takes any property.
    let _ = Reflect::set(object, &name.into(), &value.into());
}

/// JavaScript's numbers are exact up to 2^53, which is more than a stream has bytes.
#[allow(clippy::cast_precision_loss)]
fn number(n: u64) -> JsValue {
    JsValue::from_f64(n as f64)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn options(options: Option<Options>) -> (Option<u64>, bool) {
    let options = options.map(JsValue::from).unwrap_or_default();
    let get = |name: &str| Reflect::get(&options, &name.into()).ok();
    let limit = get("limit").and_then(|limit| match limit.as_f64() {
        Some(limit) => Some(limit as u64),
        None => u64::try_from(limit).ok(),
    });
    (limit, get("goOn").is_some_and(|on| on.is_truthy()))
}

fn of_frame(frame: &Frame) -> Object {
    let object = Object::new();
    set(&object, "type", "frame");
    set(&object, "at", number(frame.at));
    set(&object, "end", number(frame.end));
    let texts = [("kind", &frame.kind), ("header", &frame.header), ("meaning", &frame.meaning)];
    for (name, text) in texts {
        if let Some(text) = text {
            set(&object, name, text.as_str());
        }
    }
    if let Some(len) = frame.len {
        set(&object, "length", number(len));
    }
    set(&object, "payload", Uint8Array::from(frame.payload.as_slice()));
    set(&object, "preview", frame.preview.as_str());
    set(&object, "complete", frame.complete);
    object
}

fn of_failure(failure: &Failure) -> Object {
    let object = Object::new();
    set(&object, "type", "error");
    set(&object, "at", number(failure.at));
    set(&object, "byte", number(failure.byte));
    set(&object, "code", u32::from(failure.code));
    set(&object, "name", failure.name);
    set(&object, "message", failure.message.as_str());
    if let Some((_, advice)) = failure.message.split_once("; ") {
        set(&object, "advice", advice);
    }
    object
}

fn of_event(event: &Event) -> Object {
    match event {
        Event::Frame(frame) => of_frame(frame),
        Event::Error(failure) => of_failure(failure),
        Event::Search { found, skipped } => {
            let object = Object::new();
            set(&object, "type", "search");
            if let Some(found) = found {
                set(&object, "found", number(*found));
            }
            set(&object, "skipped", number(*skipped));
            object
        }
    }
}

fn of_events(events: &[Event]) -> Events {
    events.iter().map(of_event).collect::<Array>().unchecked_into()
}

/// Returns the formats, with bytes to look at for each. `field:`, `delim:` and `fixed:` take other
/// parameters too.
#[wasm_bindgen]
pub fn formats() -> Formats {
    let formats = examples::all().into_iter().map(|format| {
        let object = Object::new();
        set(&object, "name", format.name);
        set(&object, "group", format.group);
        set(&object, "what", format.what);
        set(&object, "example", Uint8Array::from(format.example.as_slice()));
        object
    });
    formats.collect::<Array>().unchecked_into()
}

/// A decoder of one stream, which arrives in pieces of any size.
#[wasm_bindgen]
pub struct Decoder(Listing);

#[wasm_bindgen]
impl Decoder {
    /// Creates a decoder. Throws if there is no such format.
    #[wasm_bindgen(constructor)]
    pub fn new(format: &str, how: Option<Options>) -> Result<Self, JsError> {
        let (limit, goes_on) = options(how);
        Ok(Self(Listing::new(shape(format)?, limit, goes_on)))
    }

    /// Takes the next bytes, and returns what they complete. After an error without `goOn` that is
    /// nothing.
    pub fn push(&mut self, bytes: &[u8]) -> Events {
        of_events(&self.0.push(bytes))
    }

    /// Ends the stream, and returns what that brings: an error if it is inside of a frame.
    pub fn end(&mut self) -> Events {
        of_events(&self.0.end())
    }
}

/// Decodes a stream that is cut at these offsets, and says what each byte of each frame is. Throws if
/// there is no such format.
#[wasm_bindgen]
pub fn inspect(
    format: &str,
    bytes: &[u8],
    cuts: Option<Vec<u32>>,
    how: Option<Options>,
) -> Result<Events, JsError> {
    let shape = shape(format)?;
    let (limit, goes_on) = options(how);
    let mut listing = Listing::new(shape, limit, goes_on);
    let (mut events, mut from) = (Vec::new(), 0);
    let mut ends: Vec<usize> =
        cuts.unwrap_or_default().into_iter().map(|cut| cut as usize).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    for end in ends {
        if let Some(piece) = bytes.get(from..end).filter(|piece| !piece.is_empty()) {
            events.extend(listing.push(piece));
            from = end;
        }
    }
    events.extend(listing.end());
    let shown = events.iter().map(|event| {
        let object = of_event(event);
        if let Event::Frame(frame) = event {
            let of_part = |part: crate::parts::Part| {
                let object = Object::new();
                set(&object, "kind", part.kind.name());
                set(&object, "from", number(part.from));
                set(&object, "to", number(part.to));
                object
            };
            let parts: Array = parts(shape, frame, bytes).into_iter().map(of_part).collect();
            set(&object, "parts", parts);
        }
        object
    });
    Ok(shown.collect::<Array>().unchecked_into())
}

/// Encodes a payload as a frame. `header` is the name of a kind (v1, v2), or a whole header in bytes whose
/// fields other than the length are taken. Throws if the format cannot have such a frame.
#[wasm_bindgen]
pub fn encode(format: &str, payload: &[u8], header: Option<Vec<u8>>) -> Result<Vec<u8>, JsError> {
    let wire = match shape(format)? {
        Shape::Wire(wire) => wire,
        Shape::Resp | Shape::Http => {
            format.parse::<AnyWire>().map_err(|error| JsError::new(&error))?
        }
    };
    let mut out = Vec::new();
    examples::encode(wire, header.as_deref(), payload, &mut out)
        .map_err(|error| JsError::new(&error))?;
    Ok(out)
}

fn of_streams(streams: Result<Vec<input::Stream>, String>) -> Result<Streams, JsError> {
    let streams = streams.map_err(|error| JsError::new(&error))?;
    let shown = streams.into_iter().map(|stream| {
        let object = Object::new();
        let strings = |strings: &[String]| -> Array {
            strings.iter().map(|text| JsValue::from_str(text)).collect()
        };
        set(&object, "name", stream.name.as_str());
        set(&object, "bytes", Uint8Array::from(stream.bytes.as_slice()));
        let cuts: Array = stream.cuts.iter().map(|cut| number(*cut as u64)).collect();
        set(&object, "cuts", cuts);
        set(&object, "notes", strings(&stream.notes));
        object
    });
    Ok(shown.collect::<Array>().unchecked_into())
}

/// Reads a file: a capture in the pcap or pcapng format, text with bytes in hexadecimal, or the bytes of
/// one stream. Returns what each side of each connection has sent. Throws if it is none of these.
#[wasm_bindgen(js_name = readFile)]
pub fn read_file(bytes: &[u8]) -> Result<Streams, JsError> {
    of_streams(input::file(bytes))
}

/// Reads text with bytes in hexadecimal, as `xxd`, `hexdump -C`, Wireshark or `tcpdump -X` print them.
/// Throws if it is none.
#[wasm_bindgen(js_name = readText)]
pub fn read_text(text: &str) -> Result<Streams, JsError> {
    of_streams(input::text(text))
}
