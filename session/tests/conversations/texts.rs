//! What a person reads: each error says what was found and what to try, and a log shows values in a
//! line or two.

use unstick::Kind;
use unstick_session::message::{
    Code, Digest, FileCancel, FileDone, Message, MessageError, check_name,
};
use unstick_session::session::{MAX_TRANSFERS, SendError, Session, SessionError};

#[test]
fn a_message_that_cannot_be_sent_says_what_to_do() {
    let kind = Kind::new(0x20).unwrap();
    let error = MessageError::Name { id: 3, error: check_name("a/b").unwrap_err() };
    for (error, text) in [
        (SendError::Message(error), error.to_string()),
        (SendError::Closed, "the conversation is closed; open a new one".into()),
        (
            SendError::PeerClosed,
            "the peer has closed and would not answer for a file; open a new conversation".into(),
        ),
        (SendError::LateHello, "a hello is the first message; send it first or never".into()),
        (
            SendError::ReservedKind { kind },
            "the kind 0x20 is reserved; use 0x40 to 0x7f, or 0xc0 to 0xff for what may be skipped"
                .into(),
        ),
        (
            SendError::NoRoomForStatus { limit: 9 },
            "this side's hello allows 9 bytes, and an answer has 46; announce a greater limit"
                .into(),
        ),
        (
            SendError::TransferOpen { open: 3 },
            "transfer 3 is open; send done or cancel for it first".into(),
        ),
        (
            SendError::TooManyTransfers,
            format!("{MAX_TRANSFERS} files wait for an answer; read until one has it"),
        ),
        (
            SendError::TransferId { id: 3, last: 4 },
            "the transfer id 3 is not above the last, 4; take the next".into(),
        ),
        (
            SendError::NotOpen { id: 3 },
            "transfer 3 is not open; was it refused, or is it done?".into(),
        ),
        (
            SendError::Excess { end: 11, size: 10 },
            "the file reaches 11 bytes, and 10 were announced; did it grow? cancel it".into(),
        ),
        (
            SendError::WrongTotal { total: 9 },
            "a total of 9 bytes is not what was sent or announced; did the file change? cancel it"
                .into(),
        ),
        (
            SendError::NotOwed { id: 3 },
            "no answer is owed for transfer 3; was it cancelled, or answered before?".into(),
        ),
        (
            SendError::LateReady { id: 3 },
            "transfer 3 has begun from the beginning already; go on without ready".into(),
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
    assert!(error.to_string().contains("transfer 3: the name has '/'"), "{error}");
}

#[test]
fn a_conversation_that_was_ended_here_says_with_which_code() {
    let known = SessionError::Failed { code: Code::GIVEN_UP };
    let meaning = Code::GIVEN_UP.meaning();
    let text = format!("the conversation was ended here: {} ({meaning})", Code::GIVEN_UP);
    assert_eq!(known.to_string(), text);
    let own = SessionError::Failed { code: Code(0x8001) };
    assert_eq!(own.to_string(), "the conversation was ended here: 0x8001");
}

#[test]
fn a_log_shows_messages_and_sessions() {
    let done = FileDone { id: 3, total: 4, digest: Digest::default() };
    assert_eq!(format!("{:?}", Message::FileDone(done)), format!("{done:?}"));
    let cancel = FileCancel { id: 3, code: Code::GIVEN_UP, reason: "" };
    assert_eq!(format!("{:?}", Message::FileCancel(cancel)), format!("{cancel:?}"));
    assert_eq!(format!("{:?}", Session::default()), format!("{:?}", Session::new()));
}

#[cfg(feature = "std")]
#[test]
fn an_error_becomes_an_io_error_with_a_kind_and_itself_in_it() {
    use std::io::{Error, ErrorKind};
    use unstick::DecodeError;
    use unstick::io::{ReadError, WriteError};
    use unstick_session::io::ConnectionError;
    use unstick_session::message::{NameError, RefusedMessage};

    fn check<T: std::error::Error + PartialEq + Copy + Into<Error> + 'static>(
        e: T,
        kind: ErrorKind,
    ) {
        check_as(e, kind, &e);
    }
    fn check_as<T: std::error::Error + PartialEq + 'static>(
        error: impl Into<Error>,
        kind: ErrorKind,
        inner: &T,
    ) {
        let error = error.into();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            error.get_ref().and_then(|found| found.downcast_ref::<T>()) == Some(inner),
            "{error:?}"
        );
    }
    let error = MessageError::HalfCode;
    check(error, ErrorKind::InvalidData);
    check(NameError::Empty, ErrorKind::InvalidInput);
    check(RefusedMessage { index: 0, kind: Kind::TEXT, error }, ErrorKind::InvalidData);
    check(SessionError::Unclosed, ErrorKind::UnexpectedEof);
    check(SessionError::Failed { code: Code::BUSY }, ErrorKind::ConnectionAborted);
    check(SessionError::Message(error), ErrorKind::InvalidData);
    check(SendError::Closed, ErrorKind::BrokenPipe);
    check(SendError::LateHello, ErrorKind::InvalidInput);

    let oversize = DecodeError::Oversize { at: 0, len: 9, limit: 5 };
    let read = ConnectionError::Read(ReadError::Decode(oversize));
    check_as(read, ErrorKind::InvalidData, &oversize);
    let session = SessionError::LateHello;
    check_as(ConnectionError::Session(session), ErrorKind::InvalidData, &session);
    let send = SendError::LateHello;
    check_as(ConnectionError::Send(send), ErrorKind::InvalidInput, &send);
    let reset = Error::from_raw_os_error(104);
    let reset = Error::from(ConnectionError::Write(WriteError::Io(reset)));
    assert_eq!(reset.raw_os_error(), Some(104));

    let after = std::time::Duration::from_secs(1);
    let (code, reason) = (Code::BUSY, String::new());
    for (error, kind) in [
        (ConnectionError::Full, ErrorKind::ResourceBusy),
        (ConnectionError::CloseTimeout { after }, ErrorKind::TimedOut),
        (ConnectionError::FileRefused { code, reason: reason.clone() }, ErrorKind::Other),
        (ConnectionError::FileUnanswered { code, reason }, ErrorKind::ConnectionAborted),
    ] {
        let error = Error::from(error);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.get_ref().is_some_and(|found| found.is::<ConnectionError>()), "{error:?}");
    }
}
