//! Requests and responses over one blocking connection: each has an id, so that responses may come in any
//! order, and a client waits for each only for a time. A server works on four requests of a client at once.
//!
//! ```console
//! cargo run --example request_response -- 127.0.0.1:7000                     # the server
//! cargo run --example request_response -- 127.0.0.1:7000 hello slow goodbye  # a client
//! ```
//!
//! A frame is a length of four bytes and its payload: an id of four bytes, and a text.

use std::collections::HashMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use unstick::io::{FrameReader, FrameWriter};
use unstick::{Framing, U32Be};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
type Id = u32;

const FRAMING: Framing<U32Be> = Framing::new(U32Be).with_limit(64 * 1024);
/// How many requests of a client are worked on at once.
const WORKERS: usize = 4;
/// How long a client waits for a response.
const PATIENCE: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:7000".into());
    let texts: Vec<String> = args.collect();
    if texts.is_empty() { serve(&addr) } else { ask(&addr, &texts) }
}

/// Sends a few requests at once, and waits for their responses in the same order. With more on their way
/// than the buffers of the system hold, both sides would wait for each other to read.
fn ask(addr: &str, texts: &[String]) -> Result<()> {
    let mut client = Client::connect(addr)?;
    for texts in texts.chunks(WORKERS) {
        let ids: Vec<Id> = texts.iter().map(|text| client.request(text)).collect::<Result<_>>()?;
        for (text, id) in texts.iter().zip(ids) {
            match client.response(id, PATIENCE)? {
                Some(response) => println!("{text}: {}", String::from_utf8_lossy(&response)),
                None => println!("{text}: no response within {PATIENCE:?}"),
            }
        }
    }
    Ok(())
}

struct Client {
    reader: FrameReader<TcpStream, U32Be>,
    writer: FrameWriter<TcpStream, U32Be>,
    last: Id,
    /// Each request that is waited for, and its response if that has arrived.
    waiting: HashMap<Id, Option<Vec<u8>>>,
}

impl Client {
    fn connect(addr: &str) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let reader = FrameReader::with_framing(stream.try_clone()?, FRAMING);
        let writer = FrameWriter::with_framing(stream, FRAMING);
        Ok(Self { reader, writer, last: 0, waiting: HashMap::new() })
    }

    fn request(&mut self, text: &str) -> Result<Id> {
        self.last += 1;
        self.writer.send((), payload(self.last, text.as_bytes()))?;
        self.waiting.insert(self.last, None);
        Ok(self.last)
    }

    /// Returns the response to this request; `None` if it does not arrive in time. The connection works as
    /// before then, and a late response is dropped. After an error, connect again.
    fn response(&mut self, id: Id, within: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + within;
        loop {
            while let Some(frame) = self.reader.buf_mut().next_frame()? {
                let (id, text) = parts(frame.payload)?;
                if let Some(response) = self.waiting.get_mut(&id) {
                    *response = Some(text.to_vec());
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.waiting.get(&id).is_none_or(Option::is_some) {
                return Ok(self.waiting.remove(&id).flatten());
            }
            // One read: `next_frame` would read again while a frame comes in byte by byte.
            self.reader.get_ref().set_read_timeout(Some(left))?;
            match self.reader.fill() {
                Ok(true) => {}
                Ok(false) => return Err("the server has ended the connection".into()),
                Err(error) if error.is_socket_timeout() => {} // nothing is lost
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn serve(addr: &str) -> Result<()> {
    let listener = TcpListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("cannot accept: {error}"); // too many open files, perhaps: wait for some
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        thread::spawn(move || {
            if let Err(error) = serve_client(&stream) {
                eprintln!("{peer}: {error}"); // what was found, at which byte, what to try
            }
        });
    }
}

/// Responds to each request as soon as it can, until the client ends.
fn serve_client(stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?; // how often the limits are checked
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = FrameReader::with_framing(stream, FRAMING)
        .with_frame_timeout(Duration::from_secs(10))
        .with_idle_timeout(Duration::from_secs(60));
    let writer = &Mutex::new(FrameWriter::with_framing(stream, FRAMING));
    let (requests, queue) = mpsc::sync_channel::<(Id, Vec<u8>)>(WORKERS);
    let queue = &Mutex::new(queue);
    thread::scope(|scope| {
        let requests = requests; // dropped with this closure, which ends the workers
        for _ in 0..WORKERS {
            scope.spawn(move || {
                while let Some((id, text)) = next(queue) {
                    let response = payload(id, &respond(&text));
                    if let Err(error) = lock(writer).send((), response) {
                        eprintln!("request {id}: {error}");
                        let _ = stream.shutdown(Shutdown::Both); // and the reader ends
                        return;
                    }
                }
            });
        }
        loop {
            match reader.next_frame() {
                Ok(Some(request)) => {
                    let (id, text) = parts(request.payload)?;
                    requests.send((id, text.to_vec()))?; // waits while all workers are busy
                }
                Ok(None) => return Ok(()),
                Err(error) if error.is_socket_timeout() => {} // the limits are others
                Err(error) => return Err(error.into()),
            }
        }
    })
}

/// The next request; `None` once no more can come. The queue is locked only until then.
fn next(queue: &Mutex<Receiver<(Id, Vec<u8>)>>) -> Option<(Id, Vec<u8>)> {
    lock(queue).recv().ok()
}

/// A worker that panicked has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The service: upper case, and it takes its time with what is slow.
fn respond(text: &[u8]) -> Vec<u8> {
    if text.starts_with(b"slow") {
        thread::sleep(2 * PATIENCE);
    }
    text.to_ascii_uppercase()
}

fn payload(id: Id, text: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes(), text].concat()
}

fn parts(payload: &[u8]) -> Result<(Id, &[u8])> {
    let (id, text) = payload.split_first_chunk().ok_or("a payload without an id")?;
    Ok((Id::from_be_bytes(*id), text))
}
