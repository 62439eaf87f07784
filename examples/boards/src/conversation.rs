//! A conversation of version 1: hello, texts, pings and a close.

use unstick::DecodeError;
use unstick::embedded_io::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::engine::Next;
use unstick_session::message::{Close, Code, Encoded, Hello, Message};
use unstick_session::session::{Event, SendError, Session, SessionError};

use crate::host;
use crate::uart::{Never, Uart};

/// The max payload bytes of a message.
const LIMIT: usize = 1024;

type Reader = FrameReader<Uart, [u8; LIMIT + 8]>;
type Writer = FrameWriter<Uart, [u8; 64]>;

enum Failure {
    Read(ReadError<Never>),
    Write,
    Session(SessionError),
    Send,
}

impl From<ReadError<Never>> for Failure {
    fn from(error: ReadError<Never>) -> Self {
        Self::Read(error)
    }
}

impl From<WriteError<Never>> for Failure {
    fn from(_: WriteError<Never>) -> Self {
        Self::Write
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<SendError> for Failure {
    fn from(_: SendError) -> Self {
        Self::Send
    }
}

/// Answers each text in upper case. Returns whether the conversation ended well.
pub fn converse() -> bool {
    let mut session = Session::new();
    let mut writer = Writer::new(Uart, [0; 64]);
    let result = answer_all(&mut session, &mut writer);
    let code = match &result {
        Ok(()) => 0,
        Err(Failure::Read(error)) => error.code().unwrap_or(1),
        Err(Failure::Session(error)) => error.code().0,
        Err(Failure::Write) => 2,
        Err(Failure::Send) => 3,
    };
    if let Err(Failure::Read(ReadError::Decode(error))) = &result {
        session.fail(Code(error.code()));
    }
    let _ = say(&mut session, &mut writer);
    host::number("error code", code.into());
    host::number("size of Session", size_of::<Session>() as u32);
    host::number("size of FrameReader less its storage", (size_of::<Reader>() - LIMIT - 8) as u32);
    host::number("size of FrameWriter less its storage", (size_of::<Writer>() - 64) as u32);
    result.is_ok()
}

fn answer_all(session: &mut Session, writer: &mut Writer) -> Result<(), Failure> {
    let mut reader = Reader::new(Uart, [0; LIMIT + 8]);
    let hello = Message::Hello(Hello { limit: LIMIT as u32, name: "board" });
    write(writer, &session.send(&hello)?)?;
    writer.flush()?;
    loop {
        let frame = match reader.next_or_resync()? {
            Some(Next::Frame(frame)) => frame,
            // A longer one than the hello allows.
            Some(Next::Skipped { error: DecodeError::Oversize { .. }, .. }) => {
                session.handle_skipped()?;
                continue;
            }
            // Damage.
            Some(Next::Skipped { .. }) => continue,
            None => return Ok(session.handle_end()?),
        };
        match session.handle_frame(frame.meta, frame.payload)? {
            Event::Text(text) => {
                let mut answer = [0; LIMIT];
                if let Some(answer) = answer.get_mut(..text.len()) {
                    for (to, from) in answer.iter_mut().zip(text.bytes()) {
                        *to = from.to_ascii_uppercase();
                    }
                    if let Ok(text) = core::str::from_utf8(answer) {
                        write(writer, &session.send(&Message::Text(text))?)?;
                    }
                }
            }
            Event::Binary(bytes) => write(writer, &session.send(&Message::Binary(bytes))?)?,
            Event::Close(_) => {
                write(writer, &session.send(&Message::Close(Close::ORDINARY))?)?;
                writer.flush()?;
                return Ok(());
            }
            _ => {}
        }
        say(session, writer)?;
        writer.flush()?;
    }
}

/// Writes what the session says by itself.
fn say(session: &mut Session, writer: &mut Writer) -> Result<(), Failure> {
    while let Some(encoded) = session.poll_transmit() {
        write(writer, &encoded)?;
    }
    Ok(writer.flush()?)
}

fn write(writer: &mut Writer, encoded: &Encoded<'_>) -> Result<(), WriteError<Never>> {
    writer.begin(encoded.kind(), encoded.payload_len())?;
    writer.payload(encoded.head())?;
    writer.payload(encoded.tail())?;
    writer.finish()
}
