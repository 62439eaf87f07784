//! The tables of the specification, cell by cell, and the rules outside the tables.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use super::*;
use crate::message::{Digest, FileAttributes, FileData, FileDone, Hello, NameError, ResumeKey};

const SUM: Digest = Digest([7; 32]);

fn open(id: u32, size: Option<u64>) -> Message<'static> {
    Message::FileOpen(FileOpen { id, key: ResumeKey([1; 16]), size, name: "a" })
}

fn data(id: u32, offset: u64, len: usize) -> Message<'static> {
    Message::FileData(FileData { id, offset, bytes: &[0; 16][..len] })
}

fn done(id: u32, total: u64) -> Message<'static> {
    Message::FileDone(FileDone { id, total, digest: SUM })
}

fn cancel(id: u32) -> Message<'static> {
    Message::FileCancel(FileCancel { id, code: Code::GIVEN_UP, reason: "" })
}

fn attributes(id: u32) -> Message<'static> {
    Message::FileAttributes(FileAttributes { id, modified: Some(0), is_executable: true })
}

fn status(id: u32, code: Code) -> Message<'static> {
    Message::FileStatus(FileStatus::new(id, code))
}

fn ready(id: u32, held: u64) -> Message<'static> {
    Message::FileStatus(FileStatus::ready(id, held, SUM))
}

/// Handles a message, and returns the event in a word, followed by what the session sends.
fn receive(session: &mut Session, message: &Message<'_>) -> String {
    let encoded = message.encode().unwrap();
    receive_raw(session, encoded.kind(), &encoded.to_payload())
}

fn receive_raw(session: &mut Session, kind: Kind, payload: &[u8]) -> String {
    let event = match session.handle_frame(kind, payload) {
        Ok(Event::Nothing) => "-",
        Ok(Event::FileRefused { .. }) => "refused",
        Ok(Event::FileOpen(_)) => "offered",
        Ok(Event::FileData(_)) => "data",
        Ok(Event::FileDone(_)) => "done",
        Ok(Event::FileCancel(_)) => "cancel",
        Ok(Event::FileAttributes(_)) => "attributes",
        Ok(Event::FileReady(_)) => "ready",
        Ok(Event::FileWorking(_)) => "working",
        Ok(Event::FileEnd(_)) => "end",
        Ok(Event::Hello(_)) => "hello",
        Ok(Event::Text(_)) => "text",
        Ok(Event::Binary(_)) => "binary",
        Ok(Event::Application { .. }) => "application",
        Ok(Event::Pong(_)) => "pong",
        Ok(Event::Close(_)) => "close",
        Err(error) => {
            assert_eq!(session.error(), Some(error));
            "fatal"
        }
    };
    join(event, &said(session))
}

/// Everything that the session sends by itself.
fn said(session: &mut Session) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(encoded) = session.poll_transmit() {
        let payload = encoded.to_payload();
        said.push(match Message::decode(encoded.kind(), &payload).unwrap() {
            Message::Close(close) => format!("close {}", close.code),
            Message::Pong(payload) => format!("pong {}", payload.len()),
            Message::FileStatus(status) => {
                assert_eq!((status.offset, status.digest), (0, Digest::NONE));
                format!("{} {}", status.id, status.code)
            }
            message => panic!("{message:?}"),
        });
    }
    said
}

fn join(event: &str, said: &[String]) -> String {
    [&[event.to_string()][..], said].concat().join(", ")
}

fn send(session: &mut Session, message: &Message<'_>) -> String {
    match session.send(message) {
        Ok(encoded) => {
            assert_eq!(encoded, message.encode().unwrap());
            "ok".to_string()
        }
        Err(error) => {
            let text = format!("{error:?}");
            text.split([' ', '(']).next().unwrap().to_string()
        }
    }
}

fn say(session: &mut Session, message: &Message<'_>) {
    assert_eq!(send(session, message), "ok", "{message:?}");
}

type Table = Vec<(&'static str, Message<'static>, Vec<&'static str>)>;

/// Runs every input in every state.
fn check(states: &[(&str, Session)], table: Table, run: fn(&mut Session, &Message<'_>) -> String) {
    for (what, message, outcomes) in table {
        assert_eq!(outcomes.len(), states.len(), "{what}");
        for ((state, session), outcome) in states.iter().zip(outcomes) {
            let got = run(&mut session.clone(), &message);
            assert_eq!(got, outcome, "{what} in {state}");
        }
    }
}

const LOST: &str = "fatal, close bad-transfer-id";

/// The receiver's states, with transfer 7 of an unknown size.
fn receiver() -> [(&'static str, Session); 6] {
    let none = Session::new();
    let mut offered = none.clone();
    assert_eq!(receive(&mut offered, &open(7, None)), "offered");
    let mut ready_at_4 = offered.clone();
    say(&mut ready_at_4, &ready(7, 4));
    let mut receiving = ready_at_4.clone();
    assert_eq!(receive(&mut receiving, &data(7, 4, 2)), "data");
    let mut waiting = receiving.clone();
    assert_eq!(receive(&mut waiting, &done(7, 6)), "done");
    let mut over = waiting.clone();
    say(&mut over, &status(7, Code::STORED));
    [
        ("NONE, nothing opened", none),
        ("OFFERED", offered),
        ("READY(4)", ready_at_4),
        ("RECEIVING(6)", receiving),
        ("NONE, done and not answered", waiting),
        ("NONE, answered", over),
    ]
}

#[test]
fn receiver_table_arriving_messages() {
    // spec: FIL-1, FIL-2, FIL-6, FIL-7, FIL-8, FIL-9, FIL-10, FIL-11, FIL-12, FIL-26
    let fatal = || vec![LOST; 6];
    let second = "refused, 8 second-open";
    let offset = "refused, 7 bad-offset";
    let total = "refused, 7 wrong-total";
    let excess = "refused, 7 excess";
    let cancelled = "cancel, 7 cancelled";
    let end = Message::FileData(FileData { id: 7, offset: u64::MAX, bytes: &[0] });
    check(
        &receiver(),
        vec![
            ("open 6", open(6, None), vec!["offered", LOST, LOST, LOST, LOST, LOST]),
            ("open 7", open(7, None), vec!["offered", LOST, LOST, LOST, LOST, LOST]),
            (
                "open 8",
                open(8, None),
                vec!["offered", second, second, second, "offered", "offered"],
            ),
            ("data 7 at 0", data(7, 0, 2), vec![LOST, "data", "data", offset, "-", "-"]),
            ("data 7 at 4", data(7, 4, 2), vec![LOST, offset, "data", offset, "-", "-"]),
            ("data 7 at 5", data(7, 5, 2), vec![LOST, offset, offset, offset, "-", "-"]),
            ("data 7 at 6", data(7, 6, 2), vec![LOST, offset, offset, "data", "-", "-"]),
            ("data 7 at the end of all", end, vec![LOST, offset, offset, offset, "-", "-"]),
            ("data 8", data(8, 0, 2), fatal()),
            ("done 7 of 0", done(7, 0), vec![LOST, "done", "done", total, "-", "-"]),
            ("done 7 of 4", done(7, 4), vec![LOST, total, "done", total, "-", "-"]),
            ("done 7 of 6", done(7, 6), vec![LOST, total, total, "done", "-", "-"]),
            ("done 8", done(8, 0), fatal()),
            ("cancel 7", cancel(7), vec![LOST, cancelled, cancelled, cancelled, "-", "-"]),
            ("cancel 8", cancel(8), fatal()),
            (
                "attributes 7",
                attributes(7),
                vec![LOST, "attributes", "attributes", "attributes", "-", "-"],
            ),
            ("attributes 8", attributes(8), fatal()),
            ("close", Message::Close(Close::ORDINARY), vec!["close"; 6]),
            ("text", Message::Text(""), vec!["text"; 6]),
        ],
        receive,
    );
    // The same with an announced size.
    let mut opened = Session::new();
    receive(&mut opened, &open(7, Some(10)));
    say(&mut opened, &ready(7, 4));
    let mut full = opened.clone();
    receive(&mut full, &data(7, 0, 10));
    check(
        &[("READY(4) of 10", opened), ("RECEIVING(10) of 10", full)],
        vec![
            ("data at 0, to 10", data(7, 0, 10), vec!["data", offset]),
            ("data at 0, to 11", data(7, 0, 11), vec![excess, offset]),
            ("data at 4, to 10", data(7, 4, 6), vec!["data", offset]),
            ("data at 4, to 11", data(7, 4, 7), vec![excess, offset]),
            ("data at 10", data(7, 10, 1), vec![offset, excess]),
            ("done of 4", done(7, 4), vec![total, total]),
            ("done of 10", done(7, 10), vec![total, "done"]),
            ("done of 0", done(7, 0), vec![total, total]),
        ],
        receive,
    );
    // An offset beyond 2^64 is beyond every size.
    let mut session = Session::new();
    receive(&mut session, &open(7, None));
    say(&mut session, &ready(7, u64::MAX));
    let beyond = Message::FileData(FileData { id: 7, offset: u64::MAX, bytes: &[0] });
    assert_eq!(receive(&mut session, &beyond), excess);
}

#[test]
fn receiver_table_answers() {
    // spec: FIL-5, FIL-14, FIL-15
    let (no, late) = ("NotOwed", "LateReady");
    check(
        &receiver(),
        vec![
            ("ready", ready(7, 0), vec![no, "ok", late, late, late, no]),
            ("working", status(7, Code::WORKING), vec![no, "ok", "ok", "ok", "ok", no]),
            (
                "stored",
                status(7, Code::STORED),
                vec![no, "NotDone", "NotDone", "NotDone", "ok", no],
            ),
            ("exists", status(7, Code::EXISTS), vec![no, "ok", "ok", "ok", "ok", no]),
            ("no-space", status(7, Code::NO_SPACE), vec![no, "ok", "ok", "ok", "ok", no]),
            ("0x8001", status(7, Code(0x8001)), vec![no, "ok", "ok", "ok", "ok", no]),
            ("ready 8", ready(8, 0), vec![no; 6]),
        ],
        send,
    );
    // A final status ends the transfer: later messages are discarded, and nothing is owed.
    for (state, mut session) in receiver().into_iter().skip(1).take(4) {
        assert_eq!(session.owed(), 1, "{state}");
        say(&mut session, &status(7, Code::NO_SPACE));
        assert_eq!(session.owed(), 0);
        assert_eq!(receive(&mut session, &data(7, 6, 1)), "-");
        assert_eq!(receive(&mut session, &done(7, 7)), "-");
        assert_eq!(receive(&mut session, &cancel(7)), "-");
        assert_eq!(send(&mut session, &status(7, Code::NO_SPACE)), no);
        assert_eq!(receive(&mut session, &open(8, None)), "offered");
    }
    // A part cannot be larger than the file.
    let mut session = Session::new();
    receive(&mut session, &open(7, Some(10)));
    assert_eq!(send(&mut session, &ready(7, 11)), "Excess");
    assert_eq!(send(&mut session, &ready(7, 10)), "ok");
    assert_eq!(receive(&mut session, &done(7, 10)), "done");
}

/// The sender's states, with transfer 7 of an unknown size.
fn sender() -> [(&'static str, Session); 7] {
    let none = Session::new();
    let mut opened = none.clone();
    say(&mut opened, &open(7, None));
    let mut ready_at_4 = opened.clone();
    assert_eq!(receive(&mut ready_at_4, &ready(7, 4)), "ready");
    let mut sending = ready_at_4.clone();
    say(&mut sending, &data(7, 4, 2));
    let mut is_done = sending.clone();
    say(&mut is_done, &done(7, 6));
    let mut cancelled = sending.clone();
    say(&mut cancelled, &cancel(7));
    let mut over = is_done.clone();
    assert_eq!(receive(&mut over, &status(7, Code::STORED)), "end");
    [
        ("NONE, nothing opened", none),
        ("OPENED", opened),
        ("OPENED, ready at 4", ready_at_4),
        ("SENDING(6)", sending),
        ("NONE, done and not answered", is_done),
        ("NONE, cancelled and not answered", cancelled),
        ("NONE, answered", over),
    ]
}

#[test]
fn sender_table_sent_messages() {
    // spec: FIL-3, FIL-4, FIL-26
    let (busy, not) = ("TransferOpen", "NotOpen");
    let (id, total) = ("TransferId", "WrongTotal");
    check(
        &sender(),
        vec![
            ("open 7", open(7, None), vec!["ok", busy, busy, busy, id, id, id]),
            ("open 8", open(8, None), vec!["ok", busy, busy, busy, "ok", "ok", "ok"]),
            ("data at 0", data(7, 0, 1), vec![not, "ok", "ok", "Offset", not, not, not]),
            ("data at 4", data(7, 4, 1), vec![not, "Offset", "ok", "Offset", not, not, not]),
            ("data at 6", data(7, 6, 1), vec![not, "Offset", "Offset", "ok", not, not, not]),
            ("done of 0", done(7, 0), vec![not, "ok", "ok", total, not, not, not]),
            ("done of 4", done(7, 4), vec![not, total, "ok", total, not, not, not]),
            ("done of 6", done(7, 6), vec![not, total, total, "ok", not, not, not]),
            ("cancel", cancel(7), vec![not, "ok", "ok", "ok", not, not, not]),
            ("attributes", attributes(7), vec![not, "ok", "ok", "ok", not, not, not]),
            ("data of 8", data(8, 0, 1), vec![not; 7]),
        ],
        send,
    );
    let mut session = Session::new();
    say(&mut session, &open(7, Some(10)));
    assert_eq!(send(&mut session, &data(7, 0, 11)), "Excess");
    assert_eq!(send(&mut session, &done(7, 0)), total);
    say(&mut session, &data(7, 0, 10));
    assert_eq!(send(&mut session, &data(7, 10, 1)), "Excess");
    say(&mut session, &done(7, 10));
}

#[test]
fn sender_table_arriving_statuses() {
    // spec: FIL-13, FIL-16
    let (lost, misplaced) = (LOST, "fatal, close misplaced-message");
    let end = |stored| vec![lost, stored, stored, stored, "end", stored, lost];
    check(
        &sender(),
        vec![
            ("ready", ready(7, 4), vec![lost, "ready", misplaced, "-", "-", "-", lost]),
            (
                "working",
                status(7, Code::WORKING),
                vec![lost, "working", "working", "working", "working", "working", lost],
            ),
            (
                "reserved progress",
                status(7, Code(0x011F)),
                vec![lost, "working", "working", "working", "working", "working", lost],
            ),
            ("stored", status(7, Code::STORED), end(misplaced)),
            ("exists", status(7, Code::EXISTS), end("end")),
            ("no-space", status(7, Code::NO_SPACE), end("end")),
            ("an unknown refusal", status(7, Code(0x01FF)), end("end")),
            ("a framing code", status(7, Code::NO_ERROR), end("end")),
            ("of 8", status(8, Code::NO_SPACE), vec![lost; 7]),
        ],
        receive,
    );
    // A final status for the open file closes it, and the next file may be opened at once.
    for (state, mut session) in sender().into_iter().skip(1).take(3) {
        assert_eq!((session.unanswered(), session.open_transfer()), (1, Some(7)), "{state}");
        assert_eq!(receive(&mut session, &status(7, Code::NO_SPACE)), "end");
        assert_eq!((session.unanswered(), session.open_transfer()), (0, None));
        assert_eq!(send(&mut session, &data(7, 6, 1)), "NotOpen");
        assert_eq!(send(&mut session, &cancel(7)), "NotOpen");
        say(&mut session, &open(8, None));
    }
}

#[test]
fn up_to_64_files_need_no_round_trip() {
    // spec: FIL-3, FIL-18
    let (mut sender, mut receiver) = (Session::new(), Session::new());
    for id in 1..=64 {
        assert_eq!(sender.next_transfer_id(), Some(id));
        for message in [open(id, Some(3)), data(id, 0, 3), done(id, 3)] {
            say(&mut sender, &message);
            assert_ne!(receive(&mut receiver, &message), "-");
        }
    }
    assert_eq!((sender.unanswered(), receiver.owed()), (64, 64));
    assert_eq!(sender.check_may_open(), Err(SendError::TooManyTransfers));
    assert_eq!(send(&mut sender, &open(65, None)), "TooManyTransfers");
    let mut greedy = receiver.clone();
    assert_eq!(receive(&mut greedy, &open(65, None)), "fatal, close too-many-transfers");
    // They may be answered in any order, and each answer makes room for one open.
    for id in [64, 1, 33] {
        say(&mut receiver, &status(id, Code::STORED));
        assert_eq!(receive(&mut sender, &status(id, Code::STORED)), "end");
    }
    for id in 65..=67 {
        say(&mut sender, &open(id, None));
        assert_eq!(receive(&mut receiver, &open(id, None)), "offered");
        say(&mut sender, &cancel(id));
        assert_eq!(receive(&mut receiver, &cancel(id)), format!("cancel, {id} cancelled"));
    }
    assert_eq!((sender.unanswered(), receiver.owed()), (64, 61));
}

#[test]
fn refusals_are_queued_until_transmitted() {
    // spec: FIL-5
    let mut session = Session::new();
    for id in 1..=64 {
        let open = open(id, None).encode().unwrap().to_payload();
        session.handle_frame(Kind::FILE_OPEN, &open).unwrap();
    }
    // The first file is offered; all others are second opens.
    let expected: Vec<_> = (2..=64).map(|id| format!("{id} second-open")).collect();
    assert_eq!(said(&mut session), expected);
    assert_eq!(session.owed(), 1);
}

#[test]
fn a_bad_name_is_answered_and_the_conversation_goes_on() {
    // spec: MSG-11, FIL-6
    let misnamed = [&[0, 0, 0, 9][..], &[0; 24], b".."].concat();
    for (state, mut session) in receiver() {
        let got = receive_raw(&mut session, Kind::FILE_OPEN, &misnamed);
        assert_eq!(got, "refused, 9 bad-name", "{state}");
        assert_eq!(receive(&mut session, &data(9, 0, 1)), "-");
    }
    let mut session = Session::new();
    receive(&mut session, &open(9, None));
    assert_eq!(receive_raw(&mut session, Kind::FILE_OPEN, &misnamed), LOST);
    // Such a name cannot be sent either.
    let open = FileOpen { id: 1, key: ResumeKey([0; 16]), size: None, name: ".." };
    let error = MessageError::Name { id: 1, error: NameError::Dots };
    let result = Session::new().send(&Message::FileOpen(open));
    assert_eq!(result.unwrap_err(), SendError::Message(error));
}

#[test]
fn ticks_send_working_for_waiting_files() {
    // spec: FIL-19
    for ((state, mut session), expected) in
        receiver().into_iter().zip(["", "7 working", "", "", "7 working", ""])
    {
        session.handle_tick();
        session.handle_tick();
        assert_eq!(said(&mut session).join(""), expected, "{state}");
        assert_eq!(said(&mut session), Vec::<String>::new());
    }
}

#[test]
fn hello_is_the_first_message_or_an_error() {
    // spec: CNV-1, CNV-2
    let hello = Message::Hello(Hello { limit: 100, name: "x" });
    let mut session = Session::new();
    assert_eq!(session.peer_limit(), LIMIT_WITHOUT_HELLO);
    assert_eq!(send(&mut session, &Message::Binary(&[0; 65_537])), "TooLong");
    say(&mut session, &Message::Binary(&[0; 65_536]));
    assert_eq!(send(&mut session, &hello), "LateHello");
    assert_eq!(receive(&mut session, &hello), "hello");
    assert_eq!(session.peer_limit(), 100);
    say(&mut session, &Message::Binary(&[0; 100]));
    assert_eq!(send(&mut session, &Message::Binary(&[0; 101])), "TooLong");
    assert_eq!(receive(&mut session, &hello), "fatal, close misplaced-message");

    // A skipped frame also counts as the first one, even if only its header is handled.
    let skipped = Kind::new(0x81).unwrap();
    let mut session = Session::new();
    assert_eq!(session.handle_header(skipped, 9), Ok(Expect::Nothing));
    assert_eq!(session.handle_header(Kind::HELLO, 4), Err(SessionError::LateHello));
    let mut session = Session::new();
    assert_eq!(session.handle_header(Kind::HELLO, 5), Ok(Expect::Payload));
    assert_eq!(receive(&mut session, &hello), "hello");

    let mut session = Session::new().with_peer_limit(70_000);
    say(&mut session, &hello);
    say(&mut session, &Message::Binary(&[0; 70_000]));
}

#[test]
fn only_the_newest_ping_is_answered() {
    // spec: CNV-3
    let mut session = Session::new();
    for len in [1, 64, 3] {
        session.handle_frame(Kind::PING, &[0; 64][..len]).unwrap();
    }
    assert_eq!(said(&mut session), ["pong 3"]);
    // A pong without a ping.
    assert_eq!(receive(&mut session, &Message::Pong(b"a")), "-");
    // A pong is never larger than the peer's limit.
    let mut session = Session::new();
    receive(&mut session, &Message::Hello(Hello { limit: 2, name: "" }));
    assert_eq!(receive(&mut session, &Message::Ping(b"abc")), "-");
    assert_eq!(receive(&mut session, &Message::Ping(b"ab")), "-, pong 2");
}

#[test]
fn a_closed_side_sends_nothing_and_still_receives() {
    // spec: CNV-5, CNV-6
    let mut session = Session::new();
    say(&mut session, &open(1, None));
    receive(&mut session, &open(1, None));
    let close = Message::Close(Close::ORDINARY);
    say(&mut session, &close);
    assert!(session.is_closed());
    assert_eq!(send(&mut session, &Message::Text("")), "Closed");
    assert_eq!(send(&mut session, &close), "Closed");
    assert_eq!(session.check_may_open(), Err(SendError::Closed));
    assert_eq!(receive(&mut session, &Message::Ping(b"")), "-");
    assert_eq!(receive(&mut session, &Message::Text("a")), "text");
    // The open file goes on. A new one is discarded, because it could not be answered.
    assert_eq!(receive(&mut session, &data(1, 0, 1)), "data");
    assert_eq!(receive(&mut session, &done(1, 1)), "done");
    assert_eq!(receive(&mut session, &open(2, None)), "-");
    assert_eq!(receive(&mut session, &data(2, 0, 1)), "-");
    assert_eq!(receive(&mut session, &status(1, Code::QUOTA)), "end");
    assert_eq!(receive(&mut session, &close), "close");
    assert_eq!(session.handle_end(), Ok(()));
}

#[test]
fn a_message_after_a_close_is_an_error() {
    // spec: CNV-5, CNV-7
    let close = Message::Close(Close { code: Code::SHUTTING_DOWN, reason: "" });
    let mut session = Session::new();
    receive(&mut session, &open(1, None));
    receive(&mut session, &data(1, 0, 1));
    receive(&mut session, &open(2, None));
    assert_eq!(receive(&mut session, &close), "close");
    assert!(session.is_peer_closed());
    // The open file counts as interrupted: nothing is owed. This side may go on sending.
    assert_eq!(session.owed(), 0);
    say(&mut session, &Message::Text("still here"));
    assert_eq!(send(&mut session, &open(1, None)), "PeerClosed");
    assert_eq!(session.check_may_open(), Err(SendError::PeerClosed));
    let kind = Kind::TEXT;
    let mut late = session.clone();
    assert_eq!(late.handle_header(kind, 0), Err(SessionError::AfterClose { kind }));
    assert_eq!(said(&mut late), ["close misplaced-message"]);
    assert_eq!(session.handle_end(), Ok(()));
}

#[test]
fn an_end_without_a_close_is_an_error() {
    // spec: CNV-8
    let mut session = Session::new();
    receive(&mut session, &Message::Text("a"));
    say(&mut session, &Message::Close(Close::ORDINARY));
    assert_eq!(session.handle_end(), Err(SessionError::Unclosed));
    assert_eq!(session.handle_end(), Err(SessionError::Unclosed));
    let mut session = Session::new();
    assert_eq!(session.handle_end(), Err(SessionError::Unclosed));
    assert_eq!(said(&mut session), Vec::<String>::new());
}

#[test]
fn unknown_kinds_are_skipped_or_fatal() {
    // spec: CNV-9
    let (own, skipped) = (Kind::new(0x7F).unwrap(), Kind::new(0xFF).unwrap());
    for number in 1..=255 {
        let kind = Kind::new(number).unwrap();
        let mut session = Session::new().with_kind(own).with_kind(skipped).with_kind(kind);
        let known = kind.name().is_some() || kind.is_application();
        let expected = match (known, kind.is_critical()) {
            (true, _) => Ok(Expect::Payload),
            (false, true) => Err(SessionError::UnknownKind { kind }),
            (false, false) => Ok(Expect::Nothing),
        };
        let len = match kind {
            Kind::FILE_DONE => 44,
            Kind::FILE_ATTRIBUTES => 13,
            Kind::PING | Kind::PONG => 64,
            _ => 100,
        };
        assert_eq!(session.handle_header(kind, len), expected, "{kind}");

        let mut session = Session::new().with_kind(own).with_kind(skipped);
        let known = kind.name().is_some() || kind == own || kind == skipped;
        let expected = match (known, kind.is_critical()) {
            (true, _) => Ok(Expect::Payload),
            (false, true) => Err(SessionError::UnknownKind { kind }),
            (false, false) => Ok(Expect::Nothing),
        };
        assert_eq!(session.handle_header(kind, len), expected, "{kind}");
    }
    // Two kinds that differ only in the top bit are different kinds.
    let (critical, other) = (Kind::new(0x41).unwrap(), Kind::new(0xC1).unwrap());
    let mut session = Session::new().with_kind(critical);
    assert_eq!(session.handle_header(other, 0), Ok(Expect::Nothing));
    let mut session = Session::new().with_kind(other);
    let error = SessionError::UnknownKind { kind: critical };
    assert_eq!(session.handle_header(critical, 0), Err(error));

    let mut session = Session::new().with_kind(own).with_kind(skipped);
    let event = Event::Application { kind: own, payload: b"x" };
    assert_eq!(session.handle_frame(own, b"x"), Ok(event));
    assert_eq!(receive_raw(&mut session, skipped, b""), "application");
    assert_eq!(receive_raw(&mut session, Kind::new(0xC0).unwrap(), b"x"), "-");
    let reserved = Message::Other { kind: Kind::new(0x20).unwrap(), payload: b"" };
    assert_eq!(send(&mut session, &reserved), "ReservedKind");
    say(&mut session, &Message::Other { kind: own, payload: b"" });
    // A raw message of a kind that version 1 defines does not bypass the rules.
    let done = done(1, 0).encode().unwrap().to_payload();
    let raw = Message::Other { kind: Kind::FILE_DONE, payload: &done };
    assert_eq!(send(&mut session, &raw), "NotOpen");
    assert_eq!(receive_raw(&mut session, reserved.kind(), b""), "fatal, close unknown-kind");
}

#[test]
fn errors_latch_and_are_sent_once() {
    // spec: CNV-10
    let mut session = Session::new();
    session.handle_frame(Kind::PING, b"lost").unwrap();
    let error = session.handle_frame(Kind::TEXT, b"ab\xff").unwrap_err();
    assert_eq!(error.code(), Code::BAD_MESSAGE);
    assert_eq!(session.handle_frame(Kind::TEXT, b""), Err(error));
    assert_eq!(session.handle_header(Kind::TEXT, 0), Err(error));
    assert_eq!(session.handle_end(), Err(error));
    assert_eq!(send(&mut session, &Message::Text("")), "Closed");
    session.fail(Code::IDLE_TIMEOUT);
    assert_eq!(session.error(), Some(error));
    assert_eq!(said(&mut session), ["close bad-message"]);
    assert!(session.is_closed());

    let mut session = Session::new();
    session.fail(Code::BAD_CHECK);
    let error = SessionError::Failed { code: Code::BAD_CHECK };
    assert_eq!(session.handle_frame(Kind::TEXT, b""), Err(error));
    assert_eq!(said(&mut session), ["close bad-check"]);

    // After this side's close no error is reported to the peer.
    let mut session = Session::new();
    say(&mut session, &Message::Close(Close::ORDINARY));
    assert_eq!(receive(&mut session, &data(1, 0, 1)), "fatal");
}

#[test]
fn messages_over_the_peers_limit_are_not_sent() {
    // spec: CNV-11, FIL-20
    let limited = |limit| {
        let mut session = Session::new();
        receive(&mut session, &Message::Hello(Hello { limit, name: "" }));
        session
    };
    let reason = |mut session: Session| {
        session.fail(Code::BUSY);
        let close = session.poll_transmit()?.to_payload();
        match Message::decode(Kind::CLOSE, &close) {
            Ok(Message::Close(close)) => Some(close.reason.to_string()),
            other => panic!("{other:?}"),
        }
    };
    let whole = Code::BUSY.meaning();
    assert_eq!(reason(limited(2 + u32::try_from(whole.len()).unwrap())).as_deref(), Some(whole));
    assert_eq!(reason(limited(1 + u32::try_from(whole.len()).unwrap())).as_deref(), Some(""));
    assert_eq!(reason(limited(2)).as_deref(), Some(""));
    assert_eq!(reason(limited(1)), None); // an empty close would mean no error

    let mut session = limited(46);
    assert_eq!(receive(&mut session, &open(1, None)), "offered");
    assert_eq!(receive(&mut session, &open(2, None)), "refused, 2 second-open");
    // The code of an application's answer is sent in any case.
    let refusal = FileStatus::new(1, Code::NO_SPACE);
    assert!(!refusal.reason.is_empty());
    let answer = |limit, reason| {
        let mut session = limited(limit);
        receive(&mut session, &open(1, None));
        let status = FileStatus { reason, ..refusal };
        let sent = session.send(&Message::FileStatus(status)).unwrap().to_payload();
        assert_eq!(session.owed(), 0);
        match Message::decode(Kind::FILE_STATUS, &sent) {
            Ok(Message::FileStatus(sent)) => {
                assert_eq!(FileStatus { reason, ..sent }, status);
                sent.reason.to_string()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer(46, refusal.reason), "");
    assert_eq!(answer(48, "粘包"), "");
    assert_eq!(answer(49, "粘包"), "粘");
    assert_eq!((answer(52, "粘包"), answer(51, "粘包")), ("粘包".into(), "粘".into()));
    let mut session = limited(45);
    assert_eq!(send(&mut session, &open(1, None)), "NoRoomForFile");
    assert_eq!(receive(&mut session, &open(1, None)), "fatal, close misplaced-message");
    assert_eq!(send(&mut limited(46), &open(1, None)), "ok");
    let mut session = Session::new();
    say(&mut session, &Message::Hello(Hello { limit: 45, name: "" }));
    assert_eq!(send(&mut session, &open(1, None)), "NoRoomForStatus");
    let mut session = Session::new();
    say(&mut session, &Message::Hello(Hello { limit: 46, name: "" }));
    assert_eq!(send(&mut session, &open(1, None)), "ok");

    // A status carries its reason as text if it fits.
    let words = Code::SECOND_OPEN.meaning();
    for (limit, want) in [(46 + words.len() - 1, ""), (46 + words.len(), words)] {
        let mut session = limited(u32::try_from(limit).unwrap());
        assert_eq!(receive(&mut session, &open(1, None)), "offered");
        let second = open(2, None).encode().unwrap().to_payload();
        session.handle_frame(Kind::FILE_OPEN, &second).unwrap();
        let status = session.poll_transmit().unwrap().to_payload();
        match Message::decode(Kind::FILE_STATUS, &status) {
            Ok(Message::FileStatus(status)) => assert_eq!(status.reason, want),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_pong_answers_its_ping_and_all_older_ones() {
    // spec: CNV-4, CNV-15
    let ping = |session: &mut Session, payload: &[u8]| send(session, &Message::Ping(payload));
    let pong = |session: &mut Session, payload: &[u8]| receive(session, &Message::Pong(payload));
    let mut session = Session::new();
    for payload in [b"a", b"b", b"c", b"d"] {
        assert_eq!(ping(&mut session, payload), "ok");
    }
    assert_eq!(ping(&mut session, b"e"), "TooManyPings");
    // Answers that are slower than the pings count.
    assert_eq!(pong(&mut session, b"b"), "pong");
    for payload in [b"a", b"b", b"e"] {
        assert_eq!(pong(&mut session, payload), "-");
    }
    assert_eq!((ping(&mut session, b"e"), ping(&mut session, b"f")), ("ok".into(), "ok".into()));
    assert_eq!(ping(&mut session, b"g"), "TooManyPings");
    for payload in [b"c", b"f"] {
        assert_eq!(pong(&mut session, payload), "pong");
    }
    assert_eq!(pong(&mut session, b"d"), "-");

    // Of equal pings the newest is answered.
    let mut session = Session::new();
    for _ in 0..4 {
        assert_eq!(ping(&mut session, b""), "ok");
    }
    assert_eq!((pong(&mut session, b""), pong(&mut session, b"")), ("pong".into(), "-".into()));

    // After the peer's close no pong arrives, and a ping waits for none.
    let mut session = Session::new();
    receive(&mut session, &Message::Close(Close::ORDINARY));
    for _ in 0..9 {
        assert_eq!(ping(&mut session, b""), "ok");
    }

    // The pong has to fit this side's own limit.
    let mut session = Session::new();
    say(&mut session, &Message::Hello(Hello { limit: 2, name: "" }));
    assert_eq!(
        (ping(&mut session, b"ab"), ping(&mut session, b"abc")),
        ("ok".into(), "NoRoomForPong".into())
    );
}

#[test]
fn a_draining_side_refuses_new_files_and_finishes_old_ones() {
    // spec: CNV-16
    let mut session = Session::new();
    say(&mut session, &open(1, None));
    receive(&mut session, &open(1, None));
    session.drain();
    assert!(session.is_draining());
    assert_eq!(send(&mut session, &open(2, None)), "Draining");
    say(&mut session, &done(1, 0));
    assert_eq!(receive(&mut session, &open(2, None)), "refused, 2 second-open");
    assert_eq!(receive(&mut session, &done(1, 0)), "done");
    assert_eq!(receive(&mut session, &open(3, None)), "refused, 3 shutting-down");
    assert_eq!(receive(&mut session, &data(3, 0, 1)), "-");
    let misnamed = [&[0, 0, 0, 4][..], &[0; 24], b".."].concat();
    let refused = receive_raw(&mut session, Kind::FILE_OPEN, &misnamed);
    assert_eq!(refused, "refused, 4 bad-name");
    assert_eq!(receive(&mut session, &open(4, None)), LOST);

    let mut session = Session::new();
    receive(&mut session, &open(1, None));
    session.drain();
    assert_eq!(session.owed(), 1);
    assert_eq!(receive(&mut session, &done(1, 0)), "done");
    say(&mut session, &status(1, Code::STORED));
    assert_eq!((session.owed(), session.unanswered()), (0, 0));
    say(&mut session, &Message::Close(Close::ORDINARY));
    assert_eq!(receive(&mut session, &open(2, None)), "-");
}

#[test]
fn only_a_file_with_a_resume_key_has_a_part() {
    // spec: FIL-25, FIL-16
    let unkeyed = |size| FileOpen { id: 7, key: ResumeKey::NONE, size, name: "a" };
    let mut session = Session::new();
    receive(&mut session, &Message::FileOpen(unkeyed(None)));
    assert_eq!(send(&mut session, &ready(7, 1)), "NoResumeKey");
    assert_eq!(send(&mut session, &ready(7, 0)), "ok");

    let sends = |open| {
        let mut session = Session::new();
        say(&mut session, &Message::FileOpen(open));
        session
    };
    let misplaced = "fatal, close misplaced-message";
    assert_eq!(receive(&mut sends(unkeyed(None)), &ready(7, 1)), misplaced);
    assert_eq!(receive(&mut sends(unkeyed(None)), &ready(7, 0)), "ready");
    // Nor is a part larger than the file.
    let keyed = FileOpen { key: ResumeKey([1; 16]), ..unkeyed(Some(4)) };
    assert_eq!(receive(&mut sends(keyed), &ready(7, 5)), misplaced);
    assert_eq!(receive(&mut sends(keyed), &ready(7, 4)), "ready");
    let mut begun = sends(keyed);
    say(&mut begun, &data(7, 0, 1));
    assert_eq!(receive(&mut begun, &ready(7, 5)), "-");
}

#[test]
fn an_own_close_ends_the_open_file() {
    // spec: FIL-16
    let mut session = Session::new();
    say(&mut session, &open(7, None));
    say(&mut session, &Message::Close(Close::ORDINARY));
    assert_eq!(session.open_transfer(), None);
    assert_eq!(receive(&mut session, &ready(7, 0)), "-");
    assert_eq!(receive(&mut session, &status(7, Code::BUSY)), "end");
}

#[test]
fn messages_are_sent_with_their_own_codes_only() {
    // spec: COD-2
    for number in 0..=u16::MAX {
        let code = Code(number);
        let own = number >= 0x8000;
        let close =
            own || number < 0x0A || (0x0100..=0x0107).contains(&number) && code != Code::UNCLOSED;
        let cancel = own || (0x0150..=0x0152).contains(&number);
        let status = own
            || code.name().is_some() && (0x0110..=0x013B).contains(&number)
            || [Code::SHUTTING_DOWN, Code::BUSY, Code::TOO_SLOW].contains(&code);
        let allowed =
            [Kind::CLOSE, Kind::FILE_CANCEL, Kind::FILE_STATUS].map(|kind| code.is_for(kind));
        assert_eq!(allowed, [close, cancel, status], "{code}");
        assert!(!code.is_for(Kind::TEXT));
    }
    let mut session = Session::new();
    receive(&mut session, &open(7, None));
    say(&mut session, &open(7, None));
    let close = |code| Message::Close(Close { code, reason: "" });
    for wrong in [
        status(7, Code(0x0112)),
        status(7, Code::NO_ERROR),
        close(Code::UNCLOSED),
        close(Code::READY),
        Message::FileCancel(FileCancel { id: 7, code: Code::NO_ERROR, reason: "" }),
    ] {
        assert_eq!(send(&mut session, &wrong), "Code", "{wrong:?}");
    }
    assert_eq!(session.owed(), 1);
    // An error whose code is never sent ends the conversation without a close.
    session.fail(Code::BAD_FRAME);
    assert_eq!(said(&mut session), Vec::<String>::new());
}

#[test]
fn reasons_are_shortened_to_the_peers_limit() {
    // spec: CNV-11
    let limited = |limit| {
        let mut session = Session::new();
        receive(&mut session, &Message::Hello(Hello { limit, name: "" }));
        session
    };
    let reason = "粘包";
    let close = Message::Close(Close { code: Code::BUSY, reason });
    let written = |limit| limited(limit).send(&close).map(|encoded| encoded.to_payload());
    assert_eq!(written(8).unwrap(), [&[1, 6][..], reason.as_bytes()].concat());
    assert_eq!(written(7).unwrap(), [&[1, 6][..], "粘".as_bytes()].concat());
    assert_eq!(written(2).unwrap(), [1, 6]);
    assert_eq!(written(1), Err(SendError::TooLong { len: 2, limit: 1 }));
    let ordinary = Message::Close(Close { code: Code::NO_ERROR, reason });
    assert_eq!(limited(0).send(&ordinary).unwrap().to_payload(), []);

    let mut session = limited(50);
    say(&mut session, &open(7, None));
    let reason = "x".repeat(99);
    let cancel = Message::FileCancel(FileCancel { id: 7, code: Code::CHANGED, reason: &reason });
    assert_eq!(session.send(&cancel).unwrap().payload_len(), 50);
}

#[test]
fn a_skipped_frame_counts_as_a_frame_and_nothing_else() {
    // spec: CNV-20
    let hello = Message::Hello(Hello { limit: 100, name: "" });
    let mut session = Session::new();
    assert_eq!(session.handle_skipped(), Ok(()));
    assert_eq!(receive(&mut session.clone(), &Message::Text("")), "text");
    assert_eq!(receive(&mut session, &hello), "fatal, close misplaced-message");
    assert_eq!(session.handle_skipped(), Err(SessionError::LateHello));

    let mut session = Session::new();
    receive(&mut session, &Message::Close(Close::ORDINARY));
    let error = SessionError::Failed { code: Code::OVERSIZE };
    assert_eq!(session.handle_skipped(), Err(error));
    assert_eq!(said(&mut session), ["close oversize"]);
}

#[test]
fn frames_are_judged_in_the_order_of_the_specification() {
    // spec: CNV-14
    let unknown = Kind::new(0x20).unwrap();
    let bad_name = |id: u8| [&[0, 0, 0, id][..], &[0; 24], b".."].concat();
    let judge = |session: &Session, kind, payload: &[u8]| {
        let mut session = session.clone();
        receive_raw(&mut session, kind, payload).split("close ").last().unwrap().to_string()
    };
    let mut open_7 = Session::new();
    receive(&mut open_7, &open(7, None));
    let mut small = Session::new();
    receive(&mut small, &Message::Hello(Hello { limit: 45, name: "" }));
    let mut full = Session::new();
    for id in 1..=64 {
        receive(&mut full, &open(id, Some(0)));
        receive(&mut full, &done(id, 0));
    }
    let mut closed = open_7.clone();
    receive(&mut closed, &Message::Close(Close::ORDINARY));
    let mut own_close = full.clone();
    say(&mut own_close, &Message::Close(Close::ORDINARY));

    // The rule named first is applied, although the second would apply too.
    assert_eq!(judge(&closed, Kind::HELLO, &[]), "misplaced-message");
    assert_eq!(judge(&closed, unknown, &[]), "misplaced-message");
    assert_eq!(judge(&open_7, Kind::HELLO, &[0]), "misplaced-message");
    assert_eq!(judge(&small, Kind::FILE_OPEN, &[0; 27]), "bad-message");
    assert_eq!(judge(&open_7, Kind::FILE_STATUS, &[0; 45]), "bad-message");
    assert_eq!(judge(&small, Kind::FILE_OPEN, &bad_name(7)), "misplaced-message");
    assert_eq!(judge(&open_7, Kind::FILE_OPEN, &bad_name(7)), "bad-transfer-id");
    assert_eq!(judge(&full, Kind::FILE_OPEN, &bad_name(64)), "bad-transfer-id");
    assert_eq!(judge(&full, Kind::FILE_OPEN, &bad_name(65)), "too-many-transfers");
    assert_eq!(judge(&own_close, Kind::FILE_OPEN, &bad_name(64)), "fatal");
    assert_eq!(judge(&own_close, Kind::FILE_OPEN, &bad_name(65)), "-");
    assert_eq!(judge(&open_7, Kind::FILE_OPEN, &bad_name(8)), "refused, 8 bad-name");
}

/// A side that uploads files and takes those of the peer, over pipes with room for two frames.
#[derive(Default)]
struct Uploader {
    session: Session,
    /// The number of files that were opened, and the messages of the open one that are left.
    opened: u32,
    left: Vec<Message<'static>>,
    answered: usize,
    unwritten: VecDeque<(Kind, Vec<u8>)>,
}

impl Uploader {
    fn write(&mut self, message: &Message<'_>) {
        let encoded = self.session.send(message).unwrap();
        self.unwritten.push_back((encoded.kind(), encoded.to_payload()));
    }

    fn produce(&mut self, files: u32) {
        if self.left.is_empty() && self.opened < files && self.session.check_may_open().is_ok() {
            self.opened += 1;
            let id = self.opened;
            self.left = vec![done(id, 4), data(id, 2, 2), data(id, 0, 2), open(id, Some(4))];
        }
        if let Some(message) = self.left.pop() {
            self.write(&message);
        }
    }

    fn read(&mut self, (kind, payload): &(Kind, Vec<u8>)) {
        let answer = match self.session.handle_frame(*kind, payload).unwrap() {
            Event::FileOpen(open) => ready(open.id, 0),
            Event::FileDone(done) => status(done.id, Code::STORED),
            Event::FileEnd(_) => return self.answered += 1,
            _ => return,
        };
        // Data that crossed it has made a ready superfluous.
        if let Ok(encoded) = self.session.send(&answer) {
            self.unwritten.push_back((encoded.kind(), encoded.to_payload()));
        }
    }
}

/// Returns whether two sides that upload to each other have finished; `false` if both wait for ever.
fn upload_to_each_other(reads_while_it_cannot_write: bool) -> bool {
    const FILES: u32 = 100;
    const BURST: usize = 4;
    let mut sides = [Uploader::default(), Uploader::default()];
    let mut pipes: [VecDeque<_>; 2] = Default::default();
    loop {
        let mut moves = false;
        for me in [0, 1] {
            let side = &mut sides[me];
            if side.unwritten.is_empty() {
                (0..BURST).for_each(|_| side.produce(FILES));
            }
            while pipes[me].len() < 2 && !side.unwritten.is_empty() {
                pipes[me].extend(side.unwritten.pop_front());
                moves = true;
            }
            if side.unwritten.is_empty() || reads_while_it_cannot_write {
                if let Some(frame) = pipes[1 - me].pop_front() {
                    side.read(&frame);
                    moves = true;
                }
            }
            // What waits is bounded: two answers for each of 64 transfers, and what was produced.
            assert!(side.unwritten.len() <= 2 * MAX_TRANSFERS + BURST);
        }
        if sides.iter().all(|side| side.answered == FILES as usize) {
            return true;
        }
        if !moves {
            return false;
        }
    }
}

#[test]
fn two_sides_that_upload_to_each_other_end_if_they_go_on_reading() {
    // spec: CNV-17
    assert!(upload_to_each_other(true));
    assert!(!upload_to_each_other(false), "this test sees the deadlock");
}

#[test]
fn a_peer_that_keeps_opening_files_cannot_prevent_a_close() {
    // spec: CNV-16
    let may_close = |drains: bool| {
        let (mut side, mut peer) = (Session::new(), Session::new());
        let mut waiting = None;
        for round in 1..=200 {
            // The peer opens the next file as soon as it can, and before the last is answered.
            say(&mut peer, &open(round, Some(0)));
            let event = receive(&mut side, &open(round, Some(0)));
            if event == "offered" {
                say(&mut peer, &done(round, 0));
                assert_eq!(receive(&mut side, &done(round, 0)), "done");
            } else {
                assert_eq!(event, format!("refused, {round} shutting-down"));
                receive(&mut peer, &status(round, Code::SHUTTING_DOWN));
            }
            if let Some(id) = waiting.take() {
                say(&mut side, &status(id, Code::STORED));
                receive(&mut peer, &status(id, Code::STORED));
            }
            waiting = (event == "offered").then_some(round);
            if drains && round == 100 {
                side.drain();
            }
            if side.owed() == 0 {
                say(&mut side, &Message::Close(Close::ORDINARY));
                return true;
            }
        }
        false
    };
    assert!(may_close(true));
    assert!(!may_close(false), "this test sees a close that never comes");
}

#[test]
fn transfer_ids_are_used_up() {
    let mut session = Session::new();
    assert_eq!(session.next_transfer_id(), Some(1));
    say(&mut session, &open(0, None));
    assert_eq!(session.next_transfer_id(), Some(1));
    say(&mut session, &cancel(0));
    say(&mut session, &open(u32::MAX, None));
    assert_eq!(session.next_transfer_id(), None);
}

#[test]
fn a_session_has_less_than_2_kib() {
    let size = size_of::<Session>();
    assert!(size <= 2048, "{size}");
}

#[test]
fn errors_display_what_and_what_to_try() {
    let kind = Kind::FILE_DATA;
    let mut texts = vec![
        SessionError::UnknownKind { kind: Kind::new(0x41).unwrap() }.to_string(),
        SessionError::LateHello.to_string(),
        SessionError::AfterClose { kind }.to_string(),
        SessionError::TransferId { kind, id: 1, last: None }.to_string(),
        SessionError::TransferId { kind, id: 1, last: Some(2) }.to_string(),
        SessionError::TooManyTransfers { id: 1 }.to_string(),
        SessionError::NoRoomForStatus { limit: 1 }.to_string(),
        SessionError::Status { id: 1, code: Code::READY }.to_string(),
        SessionError::Unclosed.to_string(),
        SendError::NotDone { id: 1 }.to_string(),
        SendError::Code { code: Code(0x0200) }.to_string(),
        SendError::TooManyPings.to_string(),
        SendError::NoRoomForPong { len: 2, limit: 1 }.to_string(),
        SendError::Draining.to_string(),
        SendError::NoRoomForFile { limit: 1 }.to_string(),
        SendError::NoResumeKey { id: 1 }.to_string(),
        SendError::Offset { offset: 1 }.to_string(),
        SendError::TooLong { len: 2, limit: 1 }.to_string(),
    ];
    for text in &texts {
        assert!(text.contains([';', '?']) && !text.ends_with('.'), "{text}");
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 18);
}
