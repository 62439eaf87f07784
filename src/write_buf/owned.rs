//! Large payloads that are accepted with their memory.

use super::WriteBuf;
#[cfg(feature = "alloc")]
use super::{Direct, WriteBufError};
use crate::storage::Storage;
#[cfg(feature = "alloc")]
use crate::wire::AsMeta;
use crate::wire::Wire;

impl<S: Storage, F: Wire> WriteBuf<S, F> {
    /// The payload that was accepted with its memory and is not written.
    pub(super) fn owned(&self) -> Option<&[u8]> {
        #[cfg(feature = "alloc")]
        return self.owned.as_deref();
        #[cfg(not(feature = "alloc"))]
        None
    }

    /// Ends a payload that was accepted with its memory, once it is written.
    pub(super) fn end_owned(&mut self) {
        #[cfg(feature = "alloc")]
        if let (Some(payload), Some(Direct { taken, .. })) = (&self.owned, self.direct) {
            if taken >= payload.len() {
                (self.owned, self.direct) = (None, None);
                self.end_frame();
            }
        }
    }

    /// Copies the unwritten rest of a payload that was accepted with its memory.
    pub(super) fn copy_owned(&mut self) {
        #[cfg(feature = "alloc")]
        if let Some(payload) = self.owned.take() {
            let taken = self.direct.take().map_or(0, |direct| direct.taken);
            self.append(payload.get(taken..).unwrap_or_default());
            self.end_frame();
        }
    }
}

#[cfg(feature = "alloc")]
impl<F: Wire> WriteBuf<alloc::vec::Vec<u8>, F> {
    /// Collects a whole frame like [`collect`](Self::collect), and keeps a payload of 32 KiB or more (see
    /// [`set_vectored`](Self::set_vectored)) as it is, without a copy. Until that payload is written, the
    /// buffer [is full](Self::is_full).
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn collect_owned(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: alloc::vec::Vec<u8>,
    ) -> Result<(), WriteBufError> {
        let meta = meta.as_meta();
        if !self.is_direct(payload.len()) {
            return self.collect(meta, &payload);
        }
        self.check()?;
        self.copy_owned();
        self.encoder.check_boundary()?;
        self.make_room();
        let mark = self.end;
        let Some(header) = self.head(meta, payload.len() as u64)? else {
            return self.collect(meta, &payload);
        };
        self.begin_digest(header.as_ref(), &payload);
        // A streamed frame that only was not finished ends now, and not once the payload is written.
        self.encoder.end_complete();
        self.direct = Some(Direct { run: None, mark, taken: 0, begun: false });
        self.owned = Some(payload);
        Ok(())
    }
}
