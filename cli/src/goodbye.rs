//! The end of a conversation, so that the peer learns of it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use unstick::Kind;
use unstick::tokio::{FrameReader, FrameWriter};

use crate::addr::Outgoing;
use crate::format::{AnyFormat, AnyMeta};
use crate::v1::Close;

/// How long a peer may take to accept our close.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long, and for how many bytes, we go on reading what a peer still sends after our close. To
/// end before it has would reset the connection, and the peer might lose the close.
const DRAIN: Duration = Duration::from_secs(2);
const DRAIN_BYTES: u64 = 64 << 20;

/// Says goodbye, and waits a bounded time for the peer to take it. A v1 peer takes payloads of at
/// most `takes` bytes.
pub(crate) async fn part(
    reader: FrameReader<impl AsyncRead + Unpin, AnyFormat>,
    mut writer: FrameWriter<Outgoing, AnyFormat>,
    close: Close,
    takes: u64,
) {
    let goodbye = async {
        let framing = *writer.framing();
        if framing.format().is_v1() {
            // An error that has no room stays unsaid: an empty close would say that all is well.
            if let Some(close) = close.encode(framing.limit().min(takes)) {
                writer.send(AnyMeta::Kind(Kind::CLOSE), &close).await?;
            }
        }
        writer.shutdown().await
    };
    // The connection is over; what cannot be said any more stays unsaid.
    if let Ok(Ok(())) = timeout(GOODBYE, goodbye).await {
        let (incoming, _) = reader.into_inner();
        let mut rest = incoming.take(DRAIN_BYTES);
        let _ = timeout(DRAIN, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}
