//! How messages are answered.

/// How a message is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Echo,
    Upper,
    Text(String),
}

impl Reply {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "echo" => Self::Echo,
            "upper" => Self::Upper,
            _ => Self::Text(text.strip_prefix("text:").unwrap_or(text).to_owned()),
        }
    }

    pub(crate) fn to(&self, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Echo => payload.to_vec(),
            Self::Upper => match std::str::from_utf8(payload) {
                Ok(text) => text.to_uppercase().into_bytes(),
                Err(_) => payload.to_ascii_uppercase(),
            },
            Self::Text(text) => text.as_bytes().to_vec(),
        }
    }
}
