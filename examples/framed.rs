//! For those who have a `Framed`: a server that sends every message back in upper case. Its codec
//! stands where `LengthDelimitedCodec::new()` did, and speaks the same on the wire.
//!
//! ```console
//! cargo run --example framed --features tokio-util -- 127.0.0.1:7000
//! ```

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Framed;
use unstick::codec::{CodecError, PayloadCodec};
use unstick::{Framing, U32Be};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(socket).await {
                eprintln!("{peer}: {error}"); // what was found, at which byte, what to try
            }
        });
    }
}

/// Until the client ends between two frames.
async fn serve(socket: TcpStream) -> Result<(), CodecError> {
    let framing = Framing::new(U32Be).with_limit(1 << 20); // of both directions
    let mut framed = Framed::new(socket, PayloadCodec::new(framing));
    while let Some(mut payload) = framed.next().await.transpose()? {
        payload.make_ascii_uppercase(); // in the buffer it was read into
        framed.send(payload).await?;
    }
    Ok(())
}
