//! Uploads a file, to `upload_server` or to `unstick listen`.
//!
//! ```console
//! cargo run --example upload_client --features tokio -- 127.0.0.1:7000 FILE
//! ```

use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use unstick::message::{Close, Digest, FileData, FileDone, FileOpen, Message, ResumeKey};
use unstick::session::Event;
use unstick::tokio::{Connection, Turn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, addr, path] =
        std::env::args().collect::<Vec<_>>().try_into().map_err(|_| "ADDR FILE")?;
    let name = Path::new(&path).file_name().and_then(|name| name.to_str()).ok_or("no name")?;
    let mut file = File::open(&path).await?;
    let mut connection = Connection::new(TcpStream::connect(addr).await?);

    let key = ResumeKey([0; 16]); // every try begins anew, so it is never used
    connection.feed(&Message::FileOpen(FileOpen { id: 1, key, size: None, name })).await?;
    let (mut offset, mut hash, mut buf) = (0, Sha256::new(), vec![0; 60_000]);
    let status = loop {
        // Whichever is first: something to read, the file's final status, or room for more.
        let turn = match connection.session().open_transfer() {
            Some(_) => connection.recv_or_room().await?,
            None => connection.recv().await?.map(Turn::Event),
        };
        match turn.ok_or("the server ended")? {
            Turn::Event(Event::FileEnd(status)) => break status,
            Turn::Event(_) => {}
            Turn::Room => match file.read(&mut buf).await? {
                0 => {
                    let digest = Digest(hash.clone().finalize().into());
                    let done = FileDone { id: 1, total: offset, digest };
                    connection.feed(&Message::FileDone(done)).await?;
                }
                n => {
                    let bytes = buf.get(..n).unwrap_or_default();
                    hash.update(bytes);
                    connection.feed(&Message::FileData(FileData { id: 1, offset, bytes })).await?;
                    offset += n as u64;
                }
            },
        }
    };
    println!("{name}: {}, {offset} bytes, SHA-256 {}", status.code, status.digest);
    let is_there = status.is_there(Digest(hash.finalize().into()));
    connection.close(Close::ORDINARY, Duration::from_secs(5)).await?;
    if is_there { Ok(()) } else { Err("the file was not stored".into()) }
}
