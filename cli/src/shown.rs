//! Messages in the JSON output.

use serde::Serialize;

use crate::format::AnyMeta;
use crate::term::preview::plain_hex;

/// A whole payload: as text if it is UTF-8, otherwise in hexadecimal.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl<'a> Content<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        let text = std::str::from_utf8(payload).ok();
        Self { text, hex: text.is_none().then(|| plain_hex(payload)) }
    }
}

/// A whole message for the JSON output.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    len: usize,
    #[serde(flatten)]
    content: Content<'a>,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(meta: AnyMeta, payload: &'a [u8]) -> Self {
        Self {
            kind: meta.kind().map(|kind| kind.to_string()),
            header: meta.header(),
            len: payload.len(),
            content: Content::new(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_text_if_utf8_otherwise_hex() {
        let content = |payload| crate::term::output::json(&Content::new(payload));
        assert_eq!(content(b"a\"b"), r#"{"text":"a\"b"}"#);
        assert_eq!(content(b""), r#"{"text":""}"#);
        assert_eq!(content(&[0, 0xff]), r#"{"hex":"00ff"}"#);
    }
}
