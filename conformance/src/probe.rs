//! A wrapper that catches the panics of a format.

use unstick::{
    EncodeError, Format, Framing, Header, HeaderError, InDatagram, Parsed, SelfChecking,
};

use super::Violation;
use super::panics::Panics;

/// The format under test. A call that panics returns an error, and the panic is recorded.
pub(super) struct Probe<F> {
    /// Its limit is not used: a `Framing` gives back its format only by reference.
    framing: Framing<F>,
    panics: Panics,
}

impl<F: Format> Probe<F> {
    pub(super) fn new(framing: Framing<F>) -> Self {
        Self { framing, panics: Panics::new() }
    }

    /// Returns the first panic since the previous call.
    pub(super) fn panicked(&self) -> Option<Violation> {
        self.panics.take()
    }

    fn call<T>(&self, call: &'static str, bytes: &[u8], with: impl FnOnce(&F) -> T) -> Option<T> {
        self.panics.call(call, bytes, || with(self.framing.format()))
    }
}

impl<F: Format> Format for Probe<F> {
    type Meta = F::Meta;
    type HeaderBuf = F::HeaderBuf;

    fn max_payload_len(&self) -> u64 {
        self.call("max_payload_len", &[], F::max_payload_len).unwrap_or_default()
    }

    fn max_header_len(&self) -> usize {
        self.call("max_header_len", &[], F::max_header_len).unwrap_or_default()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<F::Meta>, HeaderError> {
        let answer = self.call("decode_header", bytes, |format| format.decode_header(bytes));
        answer.unwrap_or(Err(HeaderError::BrokenFormat))
    }

    fn whole_header(&self, bytes: &[u8]) -> Option<Header<F::Meta>> {
        self.call("whole_header", bytes, |format| format.whole_header(bytes)).flatten()
    }

    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<F::Meta>, HeaderError> {
        let answer = self.call("resume_header", bytes, |format| format.resume_header(bytes, seen));
        answer.unwrap_or(Err(HeaderError::BrokenFormat))
    }

    fn encode_header(
        &self,
        meta: &F::Meta,
        payload_len: u64,
        out: &mut F::HeaderBuf,
    ) -> Result<usize, EncodeError> {
        let answer =
            self.call("encode_header", &[], |format| format.encode_header(meta, payload_len, out));
        answer.unwrap_or(Err(EncodeError::BrokenFormat))
    }

    fn limit_of(&self, meta: &F::Meta) -> u64 {
        self.call("limit_of", &[], |format| format.limit_of(meta)).unwrap_or_default()
    }

    fn in_datagram(&self, meta: &F::Meta) -> InDatagram {
        let answer = self.call("in_datagram", &[], |format| format.in_datagram(meta));
        answer.unwrap_or(InDatagram::Delivered)
    }
}

impl<F: SelfChecking> SelfChecking for Probe<F> {}
