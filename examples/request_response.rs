//! Requests and responses over one blocking connection: each has an id, so that a slow response delays no
//! other, and a client waits for each only for a time.
//!
//! ```console
//! cargo run --example request_response -- 127.0.0.1:7000                     # the server
//! cargo run --example request_response -- 127.0.0.1:7000 hello slow goodbye  # a client
//! ```
//!
//! A frame is a length of four bytes and its payload: an id of four bytes, and a text.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use unstick::io::{FrameReader, FrameWriter};
use unstick::{Framing, U32Be};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
type Id = u32;

const FRAMING: Framing<U32Be> = Framing::new(U32Be).with_limit(64 * 1024);
/// How long a client waits for a response.
const PATIENCE: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:7000".into());
    let texts: Vec<String> = args.collect();
    if texts.is_empty() { serve(&addr) } else { ask(&addr, &texts) }
}

/// Sends all requests, and then waits for the responses, in the same order.
fn ask(addr: &str, texts: &[String]) -> Result<()> {
    let mut client = Client::connect(addr)?;
    let mut ids = Vec::new();
    for text in texts {
        ids.push(client.request(text)?);
    }
    for (text, id) in texts.iter().zip(ids) {
        match client.response(id, PATIENCE)? {
            Some(response) => println!("{text}: {}", String::from_utf8_lossy(&response)),
            None => println!("{text}: no response within {PATIENCE:?}"),
        }
    }
    Ok(())
}

struct Client {
    reader: FrameReader<TcpStream, U32Be>,
    writer: FrameWriter<TcpStream, U32Be>,
    last: Id,
    /// Responses that arrived while another one was waited for.
    early: HashMap<Id, Vec<u8>>,
}

impl Client {
    fn connect(addr: &str) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let reader = FrameReader::with_framing(stream.try_clone()?, FRAMING);
        let writer = FrameWriter::with_framing(stream, FRAMING);
        Ok(Self { reader, writer, last: 0, early: HashMap::new() })
    }

    fn request(&mut self, text: &str) -> Result<Id> {
        self.last += 1;
        self.writer.send((), payload(self.last, text.as_bytes()))?;
        Ok(self.last)
    }

    /// Returns the response to this request; `None` if it does not arrive in time. The connection works as
    /// before then, and a later call can return it.
    fn response(&mut self, id: Id, within: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(response) = self.early.remove(&id) {
                return Ok(Some(response));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.reader.get_ref().set_read_timeout(Some(left))?;
            match self.reader.next_frame() {
                Ok(Some(frame)) => {
                    let (id, text) = parts(frame.payload)?;
                    self.early.insert(id, text.to_vec());
                }
                Ok(None) => return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
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
        let (stream, peer) = listener.accept()?;
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
    let writer = Mutex::new(FrameWriter::with_framing(stream, FRAMING));
    thread::scope(|scope| {
        loop {
            let request = match reader.next_owned() {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(error) if error.is_socket_timeout() => continue, // the limits are others
                Err(error) => return Err(error.into()),
            };
            let (id, text) = parts(request.payload())?;
            let text = text.to_vec();
            let writer = &writer;
            scope.spawn(move || {
                let response = payload(id, &respond(&text));
                let mut writer = writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if let Err(error) = writer.send((), response) {
                    eprintln!("request {id}: {error}");
                }
            });
        }
    })
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
