//! An echo server for many clients: every frame goes back as it came.
//!
//! ```console
//! cargo run --example echo --features tokio -- 127.0.0.1:7000
//! ```

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use unstick::tokio::{FrameReader, FrameWriter};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("cannot accept: {error}"); // too many open files, perhaps: wait for some
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        tokio::spawn(async move {
            if let Err(error) = serve(socket).await {
                eprintln!("{peer}: {error}"); // what was found, at which byte, what to try
            }
        });
    }
}

/// Until the client ends between two frames.
async fn serve(socket: TcpStream) -> Result<(), Error> {
    let (read, write) = socket.into_split();
    let mut reader = FrameReader::new(read)
        .with_frame_timeout(Duration::from_secs(10)) // a frame takes no longer
        .with_idle_timeout(Duration::from_secs(60)); // nor does a silence
    // A client that takes nothing for this long is gone.
    let mut writer = FrameWriter::new(write).with_write_timeout(Duration::from_secs(10));
    while let Some(frame) = reader.next_frame().await? {
        writer.send(frame.meta, frame.payload).await?; // borrowed: nothing was copied
    }
    Ok(())
}
