//! Describes a format that exists and reads and writes it, without an allocator: Modbus TCP, whose
//! header has a length field in its middle that counts one byte of the header too. The cookbook has
//! one that also refuses other protocols: `unstick_cookbook::modbus`.
//!
//! ```console
//! cargo run --example existing_format
//! ```

#![allow(clippy::indexing_slicing)] // every length is written here

use unstick::{ByteOrder, Covers, FrameBuf, Framing, Layout, LengthField};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Transaction (2), protocol (2), length (2) of everything behind it, unit (1), then the PDU.
    let format = LengthField::new(Layout {
        header_len: 7,
        offset: 4,
        width: 2,
        order: ByteOrder::Big,
        covers: Covers::AfterField,
    })?;
    let framing = Framing::new(format).with_limit(253); // the longest PDU

    // "Read two holding registers from 0x006B on", in the example of the specification.
    let pdu = [0x03, 0x00, 0x6B, 0x00, 0x02];
    let mut request = [0; 12];
    let len = framing.encode_into(format.meta(&[0, 1, 0, 0, 0, 0, 0x11])?, pdu, &mut request)?;
    println!("request: {:02x?}", &request[..len]);

    // It arrives in three pieces.
    let mut buf = FrameBuf::with_framing([0; 260], framing)?;
    for chunk in [&request[..3], &request[3..8], &request[8..]] {
        buf.extend(chunk);
        while let Some(frame) = buf.next_frame()? {
            println!("header {:02x?}, PDU {:02x?}", frame.header_bytes(), frame.payload);
            assert_eq!(frame.payload, pdu);
        }
    }
    buf.finish()?;
    Ok(())
}
