//! Ends a conversation in an orderly way.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use unstick::Kind;
use unstick::tokio::{FrameReader, FrameWriter};

use crate::addr::BoxedWriter;
use crate::format::AnyMeta;
use crate::v1::Close;
use crate::wire::{AnyWire, Exchange, send};

/// The time limit for writing the close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The limits for reading after the close was sent. If the socket were closed while the peer still
/// sends, the connection would be reset, and the peer might lose the close.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_DRAIN_BYTES: u64 = 64 << 20;

/// Sends the close (v1 only), shuts down writing, and discards what the peer still sends, each with
/// a time limit. The payload of the close is at most `peer_limit` bytes long.
pub(crate) async fn close_and_drain<W: Exchange>(
    reader: FrameReader<impl AsyncRead + Unpin, W>,
    mut writer: FrameWriter<BoxedWriter, W>,
    close: Close,
    peer_limit: u64,
) {
    let close_sent = async {
        let framing = *writer.framing();
        let wire: AnyWire = (*framing.format()).into();
        if wire.is_v1() {
            // If the code of an error does not fit, no close is sent: an empty close would mean
            // success.
            if let Some(close) = close.encode(framing.limit().min(peer_limit)) {
                send(&mut writer, AnyMeta::Kind(Kind::CLOSE), &close).await?;
            }
        }
        writer.shutdown().await
    };
    // The connection is over, so an error here is ignored.
    if let Ok(Ok(())) = timeout(CLOSE_TIMEOUT, close_sent).await {
        let (incoming, _) = reader.into_inner();
        let mut rest = incoming.take(MAX_DRAIN_BYTES);
        let _ = timeout(DRAIN_TIMEOUT, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}
