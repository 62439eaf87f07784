//! Takes files into a folder. A file has its name there only once it is whole.
//!
//! (`unstick listen --dir` does more: it goes on with broken uploads, and bounds rates and the disk.)
//!
//! ```console
//! cargo run -p unstick-session --example upload_server -- 127.0.0.1:7000 FOLDER
//! ```

use std::io::{Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use unstick_session::io::{Connection, ConnectionError};
use unstick_session::message::{Close, Digest, FileOpen, Message};
use unstick_session::session::{FileReceiver, IncomingFile};

/// The most bytes of a file.
const MAX_SIZE: u64 = 4 << 30;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let [_, addr, folder] =
        std::env::args().collect::<Vec<_>>().try_into().map_err(|_| "ADDR FOLDER")?;
    let listener = TcpListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    for socket in listener.incoming() {
        let (socket, folder) = (socket?, folder.clone());
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.set_write_timeout(Some(Duration::from_secs(60)))?;
        thread::spawn(move || {
            if let Err(error) = receive(socket, Path::new(&folder)) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn receive(socket: TcpStream, folder: &Path) -> std::result::Result<(), ConnectionError> {
    let mut connection = Connection::new(socket);
    let mut files = FileReceiver::new(MAX_SIZE, |open: &FileOpen<'_>| Upload::new(folder, open));
    while let Some(event) = connection.recv()? {
        if let Some(status) = files.handle(&event) {
            println!("transfer {}: {}", status.id, status.code);
            connection.feed(&Message::FileStatus(status))?;
        }
    }
    connection.close(Close::ORDINARY, Duration::from_secs(5))
}

/// A file that is not whole yet, beside its place; dropped, it is gone.
struct Upload {
    path: PathBuf,
    part: NamedTempFile,
    hash: Sha256,
}

impl Upload {
    fn new(folder: &Path, open: &FileOpen<'_>) -> Result<Self> {
        let part = NamedTempFile::new_in(folder)?;
        Ok(Self { path: folder.join(open.name), part, hash: Sha256::new() })
    }
}

impl IncomingFile for Upload {
    type Error = std::io::Error;

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.part.write_all(bytes)
    }

    fn digest(&mut self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }

    /// On disk first, then under its name.
    fn store(self) -> Result<()> {
        self.part.as_file().sync_all()?;
        self.part.persist_noclobber(&self.path)?;
        Ok(())
    }
}
