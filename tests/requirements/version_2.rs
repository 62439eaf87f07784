//! The vectors of annex A.14: version 2 of the project's own frames.

use serde_json::Value;
use unstick::{DecodeError, FrameBuf, FrameError, Framing, HeaderError, Kind, Part, V2};

fn hex(text: &Value) -> Vec<u8> {
    let bytes = text.as_str().unwrap().split_whitespace();
    bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn framing(vector: &Value) -> Framing<V2> {
    Framing::new(V2).with_limit(vector["limit"].as_u64().unwrap_or(1 << 20))
}

/// The names and values that a vector lists of an error.
fn matches(error: &DecodeError, want: &Value) -> bool {
    let number = |name: &str| want[name].as_u64().unwrap();
    let name = match *error {
        DecodeError::Header { error, .. } => match error {
            HeaderError::BadMagic { found } if number("found") == u64::from(found) => "bad-magic",
            HeaderError::UnsupportedVersion { found, supported: 2 }
                if number("found") == u64::from(found) =>
            {
                "unsupported-version"
            }
            HeaderError::InvalidKind => "invalid-kind",
            HeaderError::BadCheck { found, expected }
                if (number("found"), number("expected")) == (found.into(), expected.into()) =>
            {
                "bad-check"
            }
            _ => "",
        },
        DecodeError::Frame { error: FrameError::BadCheck { found, expected }, .. }
            if (number("found"), number("expected")) == (found.into(), expected.into()) =>
        {
            "bad-check"
        }
        DecodeError::Oversize { len, limit, .. }
            if (number("length"), number("limit")) == (len, limit) =>
        {
            "oversize"
        }
        DecodeError::Truncated { missing, part, .. }
            if number("missing") == missing && want["exact"] == (part != Part::Header) =>
        {
            "truncated"
        }
        DecodeError::Unsynchronized { skipped, .. } if number("skipped") == skipped => {
            "unsynchronized"
        }
        _ => "",
    };
    want["name"] == name && number("at") == error.at() && number("code") == u64::from(error.code())
}

/// Runs a stream in chunks of this many bytes, and returns the number of outcomes that were compared.
fn run(vector: &Value, chunk: usize) -> usize {
    let id = vector["id"].as_str().unwrap();
    let bytes = hex(&vector["bytes"]);
    let mut chunks = bytes.chunks(chunk);
    let mut buf = FrameBuf::growing(framing(vector));
    let mut searching = false;
    let events = vector["expect"].as_array().unwrap();
    for event in events {
        let told = format!("{id} in chunks of {chunk}: {event}");
        match event["request"].as_str() {
            Some("skip") => {
                assert_eq!(buf.skip_frame().is_ok(), event["answer"] == "begun", "{told}");
                continue;
            }
            Some(_) => {
                assert_eq!(event["answer"], "begun", "{told}");
                searching = true;
                continue;
            }
            None => {}
        }
        // Until the next outcome, or the end of the stream.
        loop {
            if searching {
                if let Some(skipped) = buf.resync().unwrap() {
                    assert_eq!(event["found"]["skipped"], skipped, "{told}");
                    searching = false;
                    break;
                }
            } else {
                match buf.find() {
                    Ok(Some(found)) => {
                        let want = &event["frame"];
                        assert_eq!(want["at"], found.at(), "{told}");
                        assert_eq!(want["kind"], found.header.meta.get(), "{told}");
                        assert_eq!(
                            hex(&want["payload"]),
                            buf.frame(&found).unwrap().payload,
                            "{told}"
                        );
                        break;
                    }
                    Ok(None) => {}
                    Err(error) => {
                        assert!(matches(&error, &event["error"]), "{told}: {error:?}");
                        break;
                    }
                }
            }
            if let Some(chunk) = chunks.next() {
                buf.extend_all(chunk);
                continue;
            }
            match buf.finish() {
                Ok(()) => assert_eq!(event["end"], true, "{told}"),
                Err(error) => assert!(matches(&error, &event["error"]), "{told}: {error:?}"),
            }
            break;
        }
    }
    events.len()
}

// spec: FMT-49, FMT-50, FMT-51
#[test]
fn the_vectors_of_the_annex_hold_under_every_cut() {
    let text = include_str!("../../vectors/framings-v2.json");
    let all: Value = serde_json::from_str(text).unwrap();
    let (mut outcomes, mut encoded) = (0, 0);
    for vector in all["vectors"].as_array().unwrap() {
        if vector["test"] == "stream" {
            for chunk in 1..=hex(&vector["bytes"]).len() {
                outcomes += run(vector, chunk);
            }
            continue;
        }
        let kind = Kind::new(u8::try_from(vector["kind"].as_u64().unwrap()).unwrap());
        let mut out = Vec::new();
        let written = kind.is_some_and(|kind| {
            framing(vector).encode(kind, hex(&vector["payload"]), &mut out).is_ok()
        });
        assert_eq!(written, vector["expect"]["refused"].is_null(), "{}", vector["id"]);
        if written {
            assert_eq!(out, hex(&vector["expect"]["bytes"]), "{}", vector["id"]);
        }
        encoded += 1;
    }
    assert!(outcomes > 500 && encoded >= 4, "{outcomes}, {encoded}");
}
