//! The feature `serde`: a code comes back, and errors are records that a structured log can be
//! searched by.

use serde_json::{from_value, json, to_value};
use unstick::Kind;
use unstick_session::message::{Code, MessageError, NameError};
use unstick_session::session::{SendError, SessionError};

#[test]
fn a_code_comes_back() {
    let code = Code::BAD_DIGEST;
    assert_eq!(to_value(code).unwrap(), json!(code.0));
    assert_eq!(from_value::<Code>(json!(code.0)).unwrap(), code);
    let text = serde_json::to_string(&code).unwrap();
    assert_eq!(serde_json::from_str::<Code>(&text).unwrap(), code, "{text}");
}

/// As a log has it: the variant, the code and the offset at the top, wherever there are any.
#[test]
fn errors_are_flat_records() {
    let records = [
        (
            to_value(MessageError::Name {
                id: 7,
                error: NameError::Separator { at: 2, found: '/' },
            }),
            json!({ "error": "name", "code": Code::BAD_NAME.0,
                "at": 28 + 2, "id": 7,
                "name": { "error": "separator", "at": 2, "found": "/" } }),
        ),
        (
            to_value(SessionError::TransferId { kind: Kind::FILE_OPEN, id: 1, last: Some(2) }),
            json!({ "error": "transfer_id", "code": Code::BAD_TRANSFER_ID.0, "kind": 0x10,
                "id": 1, "last": 2 }),
        ),
        (
            to_value(SessionError::Status { id: 1, code: Code::STORED }),
            json!({ "error": "status", "code": Code::MISPLACED_MESSAGE.0, "id": 1,
                "status": Code::STORED.0 }),
        ),
        (
            to_value(SendError::TransferOpen { open: 4 }),
            json!({ "error": "transfer_open", "open": 4 }),
        ),
    ];
    for (record, is) in records {
        assert_eq!(record.unwrap(), is);
    }
}

#[test]
#[cfg(feature = "std")]
fn errors_of_a_connection_are_records_too() {
    use unstick_session::ConnectionError;

    let records = [(
        to_value(ConnectionError::Session(SessionError::Unclosed)),
        json!({ "error": "session", "code": Code::UNCLOSED.0,
                "session": { "error": "unclosed", "code": Code::UNCLOSED.0 } }),
    )];
    for (record, is) in records {
        assert_eq!(record.unwrap(), is);
    }
}
