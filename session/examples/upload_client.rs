//! Uploads a file, to `upload_server` or to `unstick listen`.
//!
//! ```console
//! cargo run -p unstick-session --example upload_client --features tokio -- 127.0.0.1:7000 FILE
//! ```

use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use unstick_session::message::{Close, Digest};
use unstick_session::tokio::Connection;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, addr, path] =
        std::env::args().collect::<Vec<_>>().try_into().map_err(|_| "ADDR FILE")?;
    let name = Path::new(&path).file_name().and_then(|name| name.to_str()).ok_or("no name")?;
    let mut file = File::open(&path).await?;
    let mut connection = Connection::new(TcpStream::connect(addr).await?);

    let mut sender = connection.send_file(name, None, |_| None).await?;
    let (mut hash, mut buf) = (Sha256::new(), vec![0; 60_000]);
    while let n @ 1.. = file.read(&mut buf).await? {
        let bytes = buf.get(..n).unwrap_or_default();
        hash.update(bytes);
        sender.write(bytes).await?;
    }
    let status = sender.finish(Digest(hash.finalize().into())).await?;
    println!("{name}: {}, {} bytes, SHA-256 {}", status.code, status.offset, status.digest);
    connection.close(Close::ORDINARY, Duration::from_secs(5)).await?;
    Ok(())
}
