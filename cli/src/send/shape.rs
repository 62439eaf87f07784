//! What the options say about the messages.

use unstick::Kind;
use unstick_session::session::Session;

use crate::format::AnyMeta;
use crate::framing_args::FramingArgs;
use crate::term::hex;
use crate::term::output::Failure;
use crate::wire::AnyWire;

/// The header fields of the messages, and which frames are answers to them.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) format: AnyWire,
    kind: Option<Kind>,
    header: Option<AnyMeta>,
}

impl Shape {
    pub(crate) fn new(
        framing: &FramingArgs,
        kind: Option<Kind>,
        header: Option<&str>,
    ) -> Result<Self, Failure> {
        framing.check_exchange()?;
        let format = framing.format;
        if kind.is_some() && !format.has_kinds() {
            return Err(Failure::Usage(
                "only frames of v1 and v2 have a kind; leave out --kind".to_owned(),
            ));
        }
        if let Some(kind) = kind.filter(|_| !format.is_v1())
            && !(matches!(kind, Kind::TEXT | Kind::BINARY) || kind.is_application())
        {
            return Err(Failure::Usage(format!(
                "there is no session over v2 here, and a {kind} belongs to one; take text, binary, \
                 or 0x40 to 0x7f, or 0xc0 to 0xff"
            )));
        }
        if let Some(kind @ (Kind::CLOSE | Kind::HELLO)) = kind {
            return Err(Failure::Usage(format!("a {kind} is sent anyway; give another --kind")));
        }
        if let Some(kind) = kind.filter(|kind| (0x10..=0x14).contains(&kind.get())) {
            let why = format!("a {kind} is part of a file's transfer; give a FILE to send");
            return Err(Failure::Usage(why));
        }
        if let Some(kind) = kind.filter(|kind| kind.name().is_none() && !kind.is_application()) {
            return Err(Failure::Usage(format!(
                "the kind {kind} is reserved; take 0x40 to 0x7f, or 0xc0 to 0xff for what may be \
                 skipped"
            )));
        }
        let header = match header {
            Some(text) => {
                let bytes = hex::parse(text)
                    .map_err(|error| Failure::Usage(format!("--header, {error}")))?;
                Some(format.header_meta(&bytes).ok_or_else(|| {
                    Failure::Usage(
                        "--header goes with a field: format, ubx, mavlink, modbus-rtu-request, \
                         modbus-rtu-response or resp, and is one whole header"
                            .to_owned(),
                    )
                })?)
            }
            None => None,
        };
        if let AnyWire::Checked(checked) = format
            && !checked.is_plain()
            && header.is_none()
        {
            let name = checked.name();
            return Err(Failure::Usage(format!(
                "the headers of {name} say more than a length; give one with --header, with any \
                 length in it; `listen` and `inspect` show what arrives"
            )));
        }
        Ok(Self { format, kind, header })
    }

    /// Creates the session. `peer_limit` is the limit of the peer as given by the user.
    pub(crate) fn session(&self, peer_limit: Option<u64>) -> Session {
        let session = match peer_limit {
            Some(peer_limit) => Session::new().with_peer_limit(peer_limit),
            None => Session::new(),
        };
        match self.kind {
            Some(kind) => session.with_kind(kind),
            None => session,
        }
    }

    /// Returns the header fields of a message with this payload.
    pub(crate) fn meta(&self, payload: &[u8]) -> AnyMeta {
        self.header.unwrap_or_else(|| {
            let fitting = match std::str::from_utf8(payload) {
                Ok(_) => Kind::TEXT,
                Err(_) => Kind::BINARY,
            };
            self.format.plain_meta(self.kind.unwrap_or(fitting))
        })
    }

    /// Returns the kind that the options ask for.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Returns whether the messages are pings, whose answers are pongs.
    pub(crate) fn pings(&self) -> bool {
        self.kind == Some(Kind::PING)
    }
}
