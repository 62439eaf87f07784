//! What the blocking and the asynchronous reader have in common, and the two writers: all that does
//! not wait. One type cannot have both a method that blocks and one of the same name that does not, so
//! there are two, and these macros write what is the same.

/// The reader but for the calls that read.
macro_rules! frame_reader {
    () => {
        /// Reads frames from anything that is [`Read`] into storage of the caller's, and lends them
        /// without a copy.
        ///
        /// The storage is an array, a `&mut [u8]`, or whatever else a [`FrameBuf`] takes, and holds at
        /// least the longest frame, header included.
        #[derive(Debug)]
        pub struct FrameReader<R, S, F: Format = V1> {
            inner: R,
            inbox: Inbox<S, F>,
        }

        impl<R, S: Storage> FrameReader<R, S> {
            /// Reads version-1 frames of at most what fits into the storage: its length less the 8 bytes
            /// of a header. Tell the peer's writer the same limit.
            pub fn new(inner: R, storage: S) -> Self {
                Self::with_buf(inner, FrameBuf::new(storage))
            }
        }

        impl<R, S: Storage, F: Format> FrameReader<R, S, F> {
            /// Reads frames of this format and limit.
            ///
            /// # Errors
            /// As [`FrameBuf::with_framing`]: the storage cannot hold the largest frame within a limit that
            /// was set.
            pub fn with_framing(
                inner: R,
                storage: S,
                framing: impl Into<Framing<F>>,
            ) -> Result<Self, StorageError> {
                Ok(Self::with_buf(inner, FrameBuf::with_framing(storage, framing)?))
            }

            /// Reads into this buffer. It may hold bytes that were read from the transport before: those
            /// that another parser left over, say.
            pub fn with_buf(inner: R, buf: FrameBuf<S, F>) -> Self {
                Self { inner, inbox: Inbox::new(buf) }
            }

            /// Goes on after an oversize frame, as [`Decoder::skip_frame`](crate::Decoder::skip_frame).
            ///
            /// # Errors
            /// The stream did not fail, or not so.
            pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
                self.inbox.buf.skip_frame()
            }

            /// Drops what was read and begins a new stream, at offset 0, with the transport's next byte:
            /// also behind its end, and where the rest of a frame does not come.
            pub fn reset(&mut self) {
                self.inbox.reset();
            }

            /// The effective format and limit: give them to the peer's writer.
            pub fn framing(&self) -> Framing<&F> {
                self.inbox.buf.framing()
            }

            /// The stream offset behind the last frame that was delivered.
            pub fn position(&self) -> u64 {
                self.inbox.buf.position()
            }

            /// The transport.
            pub fn get_ref(&self) -> &R {
                &self.inner
            }

            /// The transport. Bytes read from it are missing in the frames.
            pub fn get_mut(&mut self) -> &mut R {
                &mut self.inner
            }

            /// The transport, and the buffer with the bytes that were read from it and are not consumed:
            /// [`FrameBuf::unread`], [`FrameBuf::into_parts`].
            pub fn into_inner(self) -> (R, FrameBuf<S, F>) {
                (self.inner, self.inbox.buf)
            }
        }
    };
}

/// The writer but for the calls that write.
macro_rules! frame_writer {
    () => {
        /// Writes frames to anything that is [`Write`].
        ///
        /// Frames that fit into the storage are collected there and written together; of a longer one the
        /// beginning is, and the rest is written from where it is. The storage is an array, a `&mut [u8]`,
        /// or a `Box<[u8]>` or `Vec<u8>` of the length that it is to have, and holds at least a header.
        ///
        /// Frames that were accepted and not flushed are lost when the writer is dropped.
        #[derive(Debug)]
        pub struct FrameWriter<W, S, F: Format = V1> {
            inner: W,
            outbox: Outbox<S, F>,
        }

        impl<W, S: Storage> FrameWriter<W, S> {
            /// Writes version-1 frames of at most 1 MiB.
            ///
            /// A peer that reads into a small storage takes less: give it the limit of its reader, by
            /// [`with_framing`](Self::with_framing).
            pub fn new(inner: W, storage: S) -> Self {
                Self::with_framing(inner, storage, V1)
            }
        }

        impl<W, S: Storage, F: Format> FrameWriter<W, S, F> {
            /// Writes frames of this format and limit.
            pub fn with_framing(inner: W, storage: S, framing: impl Into<Framing<F>>) -> Self {
                Self { inner, outbox: Outbox::new(storage, framing.into()) }
            }

            /// The format and limit.
            pub fn framing(&self) -> &Framing<F> {
                self.outbox.framing()
            }

            /// The transport.
            pub fn get_ref(&self) -> &W {
                &self.inner
            }

            /// The transport. Bytes written to it must be whole frames, and the writer flushed.
            pub fn get_mut(&mut self) -> &mut W {
                &mut self.inner
            }

            /// The transport, the storage, and where in it the bytes are that were accepted and are not
            /// written.
            pub fn into_inner(self) -> (W, S, Range<usize>) {
                let (storage, pending) = self.outbox.into_parts();
                (self.inner, storage, pending)
            }
        }
    };
}

pub(crate) use {frame_reader, frame_writer};
