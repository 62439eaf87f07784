//! A wrapper that catches the panics of a format.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use unstick::{
    EncodeError, Format, Framing, Header, HeaderError, InDatagram, Parsed, SelfChecking,
};

use super::{Promise, Violation};

/// The format under test. A call that panics returns an error, and the panic is recorded.
pub(super) struct Probe<F> {
    /// Its limit is not used: a `Framing` gives back its format only by reference.
    framing: Framing<F>,
    has_panicked: AtomicBool,
    panicked: Mutex<Option<Panicked>>,
}

struct Panicked {
    call: &'static str,
    bytes: Vec<u8>,
    message: String,
}

impl<F: Format> Probe<F> {
    pub(super) fn new(framing: Framing<F>) -> Self {
        Self { framing, has_panicked: AtomicBool::new(false), panicked: Mutex::new(None) }
    }

    /// Returns the first panic since the previous call.
    pub(super) fn panicked(&self) -> Option<Violation> {
        if !self.has_panicked.swap(false, Ordering::Relaxed) {
            return None;
        }
        let Panicked { call, bytes, message } =
            self.panicked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let found = format!("`{call}` panicked: {message}");
        Some(Violation::new(Promise::NoPanic, &bytes, found))
    }

    fn call<T>(&self, call: &'static str, bytes: &[u8], with: impl FnOnce(&F) -> T) -> Option<T> {
        // Calls after a panic would show nothing about the format, and every panic costs a
        // backtrace.
        if self.has_panicked.load(Ordering::Relaxed) {
            return None;
        }
        match catch_unwind(AssertUnwindSafe(|| with(self.framing.format()))) {
            Ok(answer) => Some(answer),
            Err(payload) => {
                self.has_panicked.store(true, Ordering::Relaxed);
                let mut panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
                panicked.get_or_insert_with(|| Panicked {
                    call,
                    bytes: bytes.to_vec(),
                    message: message(&*payload),
                });
                None
            }
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "not with a text".to_string())
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
