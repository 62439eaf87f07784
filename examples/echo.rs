//! An echo server for many clients, and one client, over real TCP.
//!
//! ```console
//! cargo run --example echo --features tokio
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use unstick::Kind;
use unstick::tokio::{FrameReader, FrameStream, FrameWriter};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::select! {
        result = client(addr) => result,
        result = server(listener) => result,
    }
}

async fn server(listener: TcpListener) -> Result<(), Error> {
    loop {
        let (socket, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(socket).await {
                eprintln!("{peer}: {error}"); // what was found, at which byte, what to try
            }
        });
    }
}

/// Sends every frame back as it came, until the client ends between two of them.
async fn serve(socket: TcpStream) -> Result<(), Error> {
    let (read, write) = socket.into_split();
    let mut reader = FrameReader::new(read)
        .frame_timeout(Duration::from_secs(10)) // a frame takes no longer
        .idle_timeout(Duration::from_secs(60)); // nor does a silence
    let mut writer = FrameWriter::new(write);
    while let Some(frame) = reader.next_frame().await? {
        writer.send(frame.meta, frame.payload).await?; // borrowed: nothing was copied
    }
    Ok(())
}

async fn client(addr: SocketAddr) -> Result<(), Error> {
    let mut stream = FrameStream::new(TcpStream::connect(addr).await?);
    for text in ["hello", "", "粘包"] {
        stream.send(Kind::TEXT, text.as_bytes()).await?;
        let answer = stream.next_frame().await?.ok_or("the server ended")?;
        println!("{text:?} came back as {:?}", String::from_utf8_lossy(answer.payload));
    }
    stream.shutdown().await?;
    Ok(())
}
