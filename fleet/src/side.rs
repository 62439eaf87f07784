//! One side of a connection: a session and its reader.

use std::collections::VecDeque;
use std::task::Poll;

use unstick::engine::SharedReadEngine;
use unstick::{Framing, V1};
use unstick_session::message::{Code, Encoded, Hello, Message};
use unstick_session::session::{Event, SendError, Session};

use crate::config::LIMIT;

const FRAMING: Framing<V1> = Framing::new(V1).with_limit(LIMIT as u64);

pub struct Side {
    pub session: Session,
    pub reader: SharedReadEngine<V1>,
}

impl Side {
    pub fn new() -> Self {
        Self { session: Session::new(), reader: SharedReadEngine::new(FRAMING) }
    }

    /// Reads what has arrived, `arrived` bytes of it at most, and passes each event to `handle`. After
    /// an error, of the framing or of the session, its close is in `out`.
    pub fn read(
        &mut self,
        pipe: &mut VecDeque<u8>,
        mut arrived: usize,
        out: &mut Vec<u8>,
        mut handle: impl FnMut(&mut Outgoing<'_>, &Event<'_>),
    ) {
        while arrived > 0 && self.session.error().is_none() {
            self.reader.take_storage();
            let spare = self.reader.spare();
            let mut filled = 0;
            let (first, second) = pipe.as_slices();
            for run in [first, second] {
                let n = run.len().min(spare.len() - filled).min(arrived - filled);
                spare[filled..filled + n].copy_from_slice(&run[..n]);
                filled += n;
            }
            pipe.drain(..filled);
            arrived -= filled;
            self.reader.received(filled);
            self.take_frames(out, &mut handle);
            self.reader.return_storage();
        }
        pipe.drain(..arrived);
        if pipe.is_empty() {
            *pipe = VecDeque::new();
        }
    }

    fn take_frames(
        &mut self,
        out: &mut Vec<u8>,
        handle: &mut impl FnMut(&mut Outgoing<'_>, &Event<'_>),
    ) {
        loop {
            match self.reader.poll_frame() {
                Poll::Ready(Ok(Some(found))) => {
                    let frame = self.reader.frame(&found).expect("nothing was read since");
                    match self.session.handle_frame(frame.meta, frame.payload) {
                        Ok(Event::Nothing) => {}
                        Ok(event) => {
                            handle(
                                &mut Outgoing { session: &mut self.session, bytes: out },
                                &event,
                            );
                        }
                        Err(_) => break,
                    }
                    poll(&mut self.session, out);
                }
                Poll::Ready(Ok(None)) | Poll::Pending => break,
                Poll::Ready(Err(error)) => {
                    self.session.fail(Code(error.code()));
                    break;
                }
            }
        }
        poll(&mut self.session, out);
    }

    /// Handles the end of the stream. Returns whether it is a clean one.
    pub fn end(&mut self) -> bool {
        self.reader.received(0);
        matches!(self.reader.poll_frame(), Poll::Ready(Ok(None)))
            && self.session.handle_end().is_ok()
    }

    pub fn hello(&mut self, name: &str, out: &mut Vec<u8>) {
        self.outgoing(out)
            .send(&Message::Hello(Hello { limit: LIMIT, name }))
            .expect("a hello is the first message");
    }

    pub fn outgoing<'a>(&'a mut self, bytes: &'a mut Vec<u8>) -> Outgoing<'a> {
        Outgoing { session: &mut self.session, bytes }
    }
}

/// A session, and where the bytes go that it sends.
pub struct Outgoing<'a> {
    pub session: &'a mut Session,
    bytes: &'a mut Vec<u8>,
}

impl Outgoing<'_> {
    pub fn send(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        poll(self.session, self.bytes);
        let encoded = self.session.send(message)?;
        put(&encoded, self.bytes);
        Ok(())
    }
}

/// Writes what the session sends by itself.
pub fn poll(session: &mut Session, out: &mut Vec<u8>) {
    while let Some(encoded) = session.poll_transmit() {
        put(&encoded, out);
    }
}

pub fn put(encoded: &Encoded<'_>, out: &mut Vec<u8>) {
    let header = encoded.header(&FRAMING).expect("the message is within the limit");
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(encoded.head());
    out.extend_from_slice(encoded.tail());
}
