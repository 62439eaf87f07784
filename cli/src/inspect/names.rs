//! The names of the messages of a protocol, where the header has only a number or a letter.

use std::time::Duration;

/// The side that has sent a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    /// Returns the index of what a side has sent.
    pub(crate) fn of(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Server => 1,
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Where a frame of a capture comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) flow: u32,
    /// The side that has sent it.
    pub(crate) side: Side,
    /// The time since the Unix epoch at which it was complete.
    pub(crate) time: Option<Duration>,
}

/// The width of the longest names of PostgreSQL's messages that are frequent.
pub(crate) const WIDTH: usize = "ParameterDescription".len();

/// The messages of PostgreSQL's protocol 3: the type, its name if a client sends it, and if a server
/// does (the documentation, "Message Formats").
const POSTGRES: [(u8, &str, &str); 31] = [
    (b'1', "", "ParseComplete"),
    (b'2', "", "BindComplete"),
    (b'3', "", "CloseComplete"),
    (b'A', "", "NotificationResponse"),
    (b'B', "Bind", ""),
    (b'C', "Close", "CommandComplete"),
    (b'D', "Describe", "DataRow"),
    (b'E', "Execute", "ErrorResponse"),
    (b'F', "FunctionCall", ""),
    (b'G', "", "CopyInResponse"),
    (b'H', "Flush", "CopyOutResponse"),
    (b'I', "", "EmptyQueryResponse"),
    (b'K', "", "BackendKeyData"),
    (b'N', "", "NoticeResponse"),
    (b'P', "Parse", ""),
    (b'Q', "Query", ""),
    (b'R', "", "Authentication"),
    (b'S', "Sync", "ParameterStatus"),
    (b'T', "", "RowDescription"),
    (b'V', "", "FunctionCallResponse"),
    (b'W', "", "CopyBothResponse"),
    (b'X', "Terminate", ""),
    (b'Z', "", "ReadyForQuery"),
    (b'c', "CopyDone", "CopyDone"),
    (b'd', "CopyData", "CopyData"),
    (b'f', "CopyFail", ""),
    (b'n', "", "NoData"),
    (b'p', "PasswordMessage", ""),
    (b's', "", "PortalSuspended"),
    (b't', "", "ParameterDescription"),
    (b'v', "", "NegotiateProtocolVersion"),
];

/// Returns the name of a message of PostgreSQL: of both sides' if it is not known who sends it, and the
/// type if it has no name.
pub(crate) fn postgres(kind: u8, side: Option<Side>) -> String {
    let entry = POSTGRES.iter().find(|(found, ..)| *found == kind);
    let (client, server) = entry.map_or(("", ""), |(_, client, server)| (*client, *server));
    match (client, server, side) {
        ("", "", _) => char::from(kind).to_string(),
        (name, "", _) | ("", name, _) => name.to_owned(),
        (name, _, Some(Side::Client)) | (_, name, Some(Side::Server)) => name.to_owned(),
        (client, server, None) if client == server => client.to_owned(),
        (client, server, None) => format!("{client} or {server}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_of_both_sides_has_the_name_of_its_sender() {
        assert_eq!(postgres(b'Q', None), "Query");
        assert_eq!(postgres(b'D', Some(Side::Client)), "Describe");
        assert_eq!(postgres(b'D', Some(Side::Server)), "DataRow");
        assert_eq!(postgres(b'D', None), "Describe or DataRow");
        assert_eq!(postgres(b'd', None), "CopyData");
        assert_eq!(postgres(b'y', None), "y");
    }
}
