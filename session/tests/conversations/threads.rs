//! Every public type can be kept in a static, sent to a thread, and shared, if its parts can.

use std::io::Cursor;

use unstick_session::message::{
    Close, Code, Digest, Encoded, FileCancel, FileData, FileDone, FileOpen, FileStatus, Hello,
    Message, MessageError, NameError, RefusedMessage, ResumeKey,
};
use unstick_session::session::{Event, Expect, FileReceiver, SendError, Session, SessionError};
use unstick_session::{io, tokio};

fn shared<T: Send + Sync + 'static>() {}

#[test]
fn types_of_a_conversation_can_be_shared() {
    shared::<(Close<'static>, Code, Digest, Encoded<'static>, FileCancel<'static>)>();
    shared::<(FileData<'static>, FileDone, FileOpen<'static>, FileStatus<'static>)>();
    shared::<(Hello<'static>, Message<'static>, MessageError, NameError, RefusedMessage)>();
    shared::<(ResumeKey, Event<'static>, Expect, SendError, Session, SessionError)>();
    shared::<(FileReceiver<(), ()>, io::ConnectionError, io::Connection<Cursor<Vec<u8>>>)>();
    shared::<(
        tokio::Connection<::tokio::net::TcpStream>,
        tokio::Turn<unstick_session::session::Event<'static>>,
    )>();
    shared::<io::FileSender<'static, Cursor<Vec<u8>>, std::io::Error>>();
    shared::<tokio::FileSender<'static, ::tokio::net::TcpStream, std::io::Error>>();
}
