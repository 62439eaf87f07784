//! A format of one's own, for messages of a chat: a letter that says what it is, a room's number,
//! and a length, in five bytes. A server that sends each message back, to its client's room.
//!
//! ```console
//! cargo run --example custom_format --features tokio -- 127.0.0.1:7000
//! ```

use tokio::net::{TcpListener, TcpStream};
use unstick::tokio::FrameStream;
use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

/// What a header says beside the length.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chat {
    Say { room: u16 },
    Leave { room: u16 },
}

#[derive(Clone)]
struct ChatFormat;

impl Format for ChatFormat {
    type Meta = Chat;
    type HeaderBuf = [u8; 5];

    fn max_payload_len(&self) -> u64 {
        u16::MAX.into()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Chat>, HeaderError> {
        // As early as the bytes allow: a wrong letter is no reason to wait for more.
        let kind = match bytes.first() {
            Some(b'S') => |room| Chat::Say { room },
            Some(b'L') => |room| Chat::Leave { room },
            Some(_) => {
                let text = "a message starts with S or L";
                return Err(HeaderError::Custom { code: 0x8001, text });
            }
            None => return Ok(Parsed::Need(5)),
        };
        let Some(&[_, r0, r1, l0, l1]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(5));
        };
        Ok(Parsed::Header(Header {
            meta: kind(u16::from_be_bytes([r0, r1])),
            payload_len: u16::from_be_bytes([l0, l1]).into(),
            header_len: 5,
        }))
    }

    fn encode_header(
        &self,
        meta: &Chat,
        len: u64,
        out: &mut [u8; 5],
    ) -> Result<usize, EncodeError> {
        let limit = self.max_payload_len();
        let len = u16::try_from(len).map_err(|_| EncodeError::Oversize { len, limit })?;
        let (letter, room) = match meta {
            Chat::Say { room } => (b'S', room),
            Chat::Leave { room } => (b'L', room),
        };
        let ([r0, r1], [l0, l1]) = (room.to_be_bytes(), len.to_be_bytes());
        *out = [letter, r0, r1, l0, l1];
        Ok(5)
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(socket).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn serve(socket: TcpStream) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let framing = Framing::new(ChatFormat).with_limit(1000); // no message is longer here
    let mut stream = FrameStream::with_framing(socket, framing);
    while let Some((frame, writer)) = stream.next_with_writer().await? {
        match frame.meta {
            Chat::Say { room } => println!("room {room}: {} bytes", frame.payload.len()),
            Chat::Leave { .. } => break,
        }
        writer.send(frame.meta, frame.payload).await?;
    }
    Ok(stream.writer.shutdown().await?)
}
