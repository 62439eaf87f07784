//! The messages of a datagram: all of them, or none (spec, 14.6).

use core::error::Error;
use core::fmt;

use unstick::Kind;

use super::{Message, MessageError};

impl<'a> Message<'a> {
    /// Decodes the payloads of all frames of a datagram.
    ///
    /// Every payload is checked before the first message is returned, because a datagram is
    /// accepted or refused as a whole (spec, 14.6).
    ///
    /// ```
    /// use unstick::{Framing, Kind, V1};
    /// use unstick_session::message::Message;
    ///
    /// let framing = Framing::new(V1);
    /// let mut datagram = Vec::new();
    /// framing.encode(Kind::TEXT, "粘包".as_bytes(), &mut datagram)?;
    /// framing.encode(Kind::BINARY, &[0xff], &mut datagram)?;
    ///
    /// let frames = framing.datagram(&datagram)?.map(|frame| (frame.meta, frame.payload));
    /// let mut messages = Message::decode_all(frames)?;
    /// assert_eq!(messages.next(), Some(Message::Text("粘包")));
    /// assert_eq!(messages.next(), Some(Message::Binary(&[0xff])));
    ///
    /// datagram.extend_from_slice(&unstick::header::encode(Kind::TEXT, 1));
    /// datagram.push(0xff); // not UTF-8
    /// let frames = framing.datagram(&datagram)?.map(|frame| (frame.meta, frame.payload));
    /// assert!(Message::decode_all(frames).is_err()); // none of the three counts
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first frame whose payload is malformed for its kind.
    pub fn decode_all<I>(frames: I) -> Result<Messages<I>, RefusedMessage>
    where
        I: Iterator<Item = (Kind, &'a [u8])> + Clone,
    {
        for (index, (kind, payload)) in frames.clone().enumerate() {
            if let Err(error) = Message::decode(kind, payload) {
                return Err(RefusedMessage { index, kind, error });
            }
        }
        Ok(Messages { frames })
    }
}

/// An iterator over the messages of a datagram, in order. Created by [`Message::decode_all`].
#[derive(Clone, Debug)]
pub struct Messages<I> {
    frames: I,
}

impl<'a, I: Iterator<Item = (Kind, &'a [u8])>> Iterator for Messages<I> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        // `decode_all` has checked every payload.
        self.frames.next().and_then(|(kind, payload)| Message::decode(kind, payload).ok())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.frames.size_hint()
    }
}

/// The error for a datagram whose frames are well formed, but with a payload that is malformed for
/// its kind. It concerns this datagram only (spec, 14.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RefusedMessage {
    /// The index of the frame among the delivered frames, from 0.
    pub index: usize,
    /// The frame's kind.
    pub kind: Kind,
    /// What is wrong with the frame's payload. Offsets count from the start of that payload.
    pub error: MessageError,
}

impl fmt::Display for RefusedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of the datagram, {}", self.index.saturating_add(1), self.error)
    }
}

impl Error for RefusedMessage {}

#[cfg(feature = "std")]
unstick::__io_errors! { RefusedMessage { _ => InvalidData } }

#[cfg(all(test, feature = "alloc"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;
    use unstick::{Framing, V1};

    /// Encodes the frames as one datagram, and returns its messages in `Debug` form.
    fn read(frames: &[(Kind, &[u8])]) -> Result<Vec<std::string::String>, RefusedMessage> {
        let framing = Framing::new(V1);
        let mut bytes = Vec::new();
        for (kind, payload) in frames {
            framing.encode(*kind, payload, &mut bytes).unwrap();
        }
        let own = Kind::new(0x41).unwrap();
        let datagram = framing.datagram_with(&bytes, |kind| *kind == own).unwrap();
        let messages = Message::decode_all(datagram.map(|frame| (frame.meta, frame.payload)))?;
        assert_eq!(messages.size_hint().0, messages.clone().count());
        Ok(messages.map(|message| std::format!("{message:?}")).collect())
    }

    #[test]
    fn one_malformed_payload_refuses_the_whole_datagram() {
        // spec: CNV-12
        let (own, skipped) = (Kind::new(0x41).unwrap(), Kind::new(0xC1).unwrap());
        let sound: [(Kind, &[u8]); 5] = [
            (Kind::TEXT, b"a"),
            (Kind::PING, &[7; 64]),
            (skipped, b"\xff"),
            (own, b"\xff"),
            (Kind::BINARY, b"\xff"),
        ];
        let shown = read(&sound).unwrap();
        assert_eq!(shown.len(), 4, "{shown:?}");
        assert!(shown[0].contains("Text") && shown[3].contains("Binary"), "{shown:?}");
        for (kind, bad) in [(Kind::TEXT, &b"a\xe7\xb2"[..]), (Kind::PONG, &[0; 65])] {
            let error = Message::decode(kind, bad).unwrap_err();
            // The skipped frame is neither delivered nor counted.
            for (at, index) in [(0, 0), (2, 2), (3, 2), (5, 4)] {
                let mut frames = sound.to_vec();
                frames.insert(at, (kind, bad));
                assert_eq!(read(&frames), Err(RefusedMessage { index, kind, error }), "{at}");
            }
            // The first malformed payload is reported. It does not affect another datagram.
            let both = [(Kind::TEXT, &b"\xff"[..]), (kind, bad)];
            assert_eq!(read(&both).unwrap_err().index, 0);
            assert_eq!(read(&sound), Ok(shown.clone()));
        }
        let text = read(&[(Kind::TEXT, b"a"), (Kind::TEXT, b"\xff")]).unwrap_err().to_string();
        assert!(text.starts_with("message 2 of the datagram, payload byte 0: "), "{text}");
    }
}
