//! Takes files into a folder. A file has its name there only once it is whole.
//!
//! (`unstick listen --dir` does more: it goes on with broken uploads, and bounds sizes and rates.)
//!
//! ```console
//! cargo run --example upload_server -- 127.0.0.1:7000 FOLDER
//! ```

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use unstick::io::Connection;
use unstick::message::{
    Close, Code, Digest, FileCancel, FileData, FileDone, FileOpen, FileStatus, Message,
};
use unstick::session::Event;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
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

/// The file that is open.
struct Upload {
    id: u32,
    path: PathBuf,
    /// Beside it, under a name of its own; dropped, it is gone.
    part: NamedTempFile,
    hash: Sha256,
}

fn receive(socket: TcpStream, folder: &Path) -> Result<(), Error> {
    let mut connection = Connection::new(socket);
    let mut open: Option<Upload> = None;
    while let Some(event) = connection.recv()? {
        let answer = match event {
            Event::FileOpen(FileOpen { id, name, .. }) => {
                // The name is one component of a path: the session refuses any other.
                let (path, part) = (folder.join(name), NamedTempFile::new_in(folder)?);
                open = Some(Upload { id, path, part, hash: Sha256::new() });
                Some(FileStatus::ready(id, 0, Digest::OF_NOTHING)) // nothing is here already
            }
            Event::FileData(FileData { bytes, .. }) => {
                if let Some(upload) = &mut open {
                    upload.part.write_all(bytes)?;
                    upload.hash.update(bytes);
                }
                None
            }
            Event::FileDone(done) => open.take().map(|upload| upload.store(&done)),
            Event::FileCancel(FileCancel { id, .. }) | Event::FileRefused { id, .. } => {
                open.take_if(|upload| upload.id == id);
                None
            }
            _ => None,
        };
        if let Some(status) = answer {
            println!("transfer {}: {}", status.id, status.code);
            connection.feed(&Message::FileStatus(status))?;
        }
    }
    Ok(connection.close(Close::ORDINARY, Duration::from_secs(5))?)
}

impl Upload {
    /// On disk first, then under its name, then stored.
    fn store(self, done: &FileDone) -> FileStatus<'static> {
        let answer = done.answer(Digest(self.hash.finalize().into()));
        if answer.code != Code::STORED {
            return answer;
        }
        if self.part.as_file().sync_all().is_err() {
            return FileStatus::new(self.id, Code::STORAGE_FAILED);
        }
        match self.part.persist_noclobber(&self.path) {
            Ok(_) => answer,
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
                FileStatus::exists(self.id, None)
            }
            Err(_) => FileStatus::new(self.id, Code::STORAGE_FAILED),
        }
    }
}
