//! A chat server: messages in JSON, each after its length as four bytes, for many clients.
//!
//! All clients read from one bounded queue of events. A client for which more events wait is dropped, as is
//! one that takes no byte for a while, and nobody waits for it. Ctrl-C says goodbye to all who have
//! joined, and waits for at most five seconds.
//!
//! ```console
//! cargo run --example chat --features tokio -- 127.0.0.1:7000
//! ```
//!
//! A package of its own needs `unstick` with the feature `tokio`, `tokio` with `full`, `serde` with `derive`,
//! and `serde_json`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use unstick::tokio::{FrameReader, FrameWriter};
use unstick::{Framing, U32Be};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A length of four bytes, and JSON: at most 16 KiB from a client. An event has a name and a text of one,
/// so more is sent.
const FRAMING: Framing<U32Be> = Framing::new(U32Be).with_limits(16 * 1024, 64 * 1024);
/// The max number of events that wait for a client.
const QUEUE: usize = 256;
const MAX_CLIENTS: usize = 1_000;
/// How long a client may take to join.
const JOIN: Duration = Duration::from_secs(10);

/// What a client sends: first `{"join":"ann"}`, then `{"say":"hello"}`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Join(String),
    Say(String),
}

/// What all clients get.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Event<'a> {
    Joined { name: &'a str },
    Said { name: &'a str, text: &'a str },
    Left { name: &'a str },
    Bye,
}

/// Events for all clients, each encoded once.
type Room = broadcast::Sender<Arc<[u8]>>;

// In one thread all others take an event before the next message is read: see `yield_now` below.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);

    let room = Room::new(QUEUE);
    let (stop, stopped) = watch::channel(false);
    let mut clients = JoinSet::new();
    let mut interrupted = pin!(tokio::signal::ctrl_c()); // one, so that no signal comes between two
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => accepted,
            Some(_) = clients.join_next() => continue, // one has gone
            interrupted = &mut interrupted => break interrupted?,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("cannot accept: {error}"); // too many open files, perhaps: wait for some
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (room, stopped) = (room.clone(), stopped.clone());
        clients.spawn(async move {
            if let Err(error) = serve(socket, &room, stopped).await {
                eprintln!("{peer}: {error}"); // what was found, at which byte, what to try
            }
        });
    }
    drop(listener); // nobody else connects
    stop.send(true)?;
    let goodbyes = async { while clients.join_next().await.is_some() {} };
    if timeout(Duration::from_secs(5), goodbyes).await.is_err() {
        return Err(format!("{} clients were too slow for a goodbye", clients.len()).into());
    }
    Ok(())
}

async fn serve(
    socket: TcpStream,
    room: &Room,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Error> {
    let (read, write) = socket.into_split();
    let mut reader = FrameReader::with_framing(read, FRAMING)
        .with_frame_timeout(Duration::from_secs(10)) // a frame takes no longer
        .with_idle_timeout(Duration::from_secs(600)); // nor does a silence
    // A client that takes nothing for this long is too slow.
    let writer =
        FrameWriter::with_framing(write, FRAMING).with_write_timeout(Duration::from_secs(5));
    let first = tokio::select! {
        frame = reader.next_frame() => frame?,
        () = sleep(JOIN) => return Err("it did not join in time".into()),
        _ = stopped.changed() => None,
    };
    let Some(first) = first else { return Ok(()) };
    let Request::Join(name) = serde_json::from_slice(first.payload)? else {
        return Err("the first message is not a join".into());
    };
    let events = room.subscribe(); // from here on
    tell(room, &Event::Joined { name: &name })?;
    let end = talk(&name, reader, writer, room, events, stopped).await;
    tell(room, &Event::Left { name: &name })?;
    end
}

/// Until the client ends, or the server does.
async fn talk(
    name: &str,
    mut reader: FrameReader<OwnedReadHalf, U32Be>,
    mut writer: FrameWriter<OwnedWriteHalf, U32Be>,
    room: &Room,
    mut events: broadcast::Receiver<Arc<[u8]>>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Error> {
    loop {
        // Each of these can be dropped before its end, and loses nothing.
        tokio::select! {
            frame = reader.next_frame() => {
                let Some(frame) = frame? else { break };
                match serde_json::from_slice(frame.payload)? {
                    Request::Say(text) => {
                        tell(room, &Event::Said { name, text: &text })?;
                        tokio::task::yield_now().await; // others take it before the next one
                    }
                    Request::Join(_) => return Err("a second join".into()),
                }
            }
            event = events.recv() => {
                let mut event = event?; // an error if too many events waited for the client
                loop {
                    writer.feed((), event).await?;
                    event = match events.try_recv() {
                        Ok(event) => event,
                        Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                        Err(lagged) => return Err(lagged.into()),
                    };
                }
                writer.flush().await?; // one write for all that was there
            }
            _ = stopped.changed() => break,
        }
    }
    writer.send((), serde_json::to_vec(&Event::Bye)?).await?;
    writer.shutdown().await?;
    // A socket that is closed with unread bytes can lose the goodbye: read what is on its way.
    let rest = async { while let Ok(Some(_)) = reader.next_frame().await {} };
    let _ = timeout(Duration::from_secs(1), rest).await;
    Ok(())
}

/// Puts an event into the queue of every client.
fn tell(room: &Room, event: &Event<'_>) -> Result<(), Error> {
    let _ = room.send(serde_json::to_vec(event)?.into()); // an error says that nobody listens
    Ok(())
}
