//! Finds the segment of TCP in a packet, or the datagram of UDP.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice, ether_type};

/// The link types that are read, by their numbers (tcpdump.org/linktypes.html).
const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const LOOP: u32 = 108;
const COOKED: u32 = 113;
const COOKED_2: u32 = 276;
const RAW: [u32; 5] = [12, 14, 101, 228, 229];
/// A packet that begins with an IP header.
pub(crate) const RAW_IP: u32 = 101;
/// Numbers of IP: TCP and UDP.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a packet has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    Tcp(Segment<'a>),
    Udp {
        from: SocketAddr,
        to: SocketAddr,
        payload: &'a [u8],
        /// The number of bytes that the capture has cut off.
        missing: u64,
    },
    /// A fragment of a packet of IP.
    Fragment,
    /// Another protocol.
    Other,
    /// The headers are cut off or damaged.
    Damaged,
    /// The link type is not known.
    UnknownLink,
}

/// A segment of TCP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) payload: &'a [u8],
    /// The number of bytes after the payload that the capture has cut off.
    pub(crate) missing: u64,
}

/// Returns the name of a link type that is not read.
pub(crate) fn name(link: u32) -> String {
    let name = match link {
        9 => "PPP",
        105 | 119 | 127 | 192 => "Wi-Fi in monitor mode",
        187 | 201 | 251 | 272 => "Bluetooth",
        189 | 220 | 249 => "USB",
        _ => return format!("link type {link}"),
    };
    format!("link type {link} ({name})")
}

/// Returns what a packet of this link type has.
pub(crate) fn parse(link: u32, data: &[u8]) -> Content<'_> {
    let be_u16 = |at: usize| Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?));
    let packet = match link {
        ETHERNET => match LaxSlicedPacket::from_ethernet(data) {
            Ok(packet) => packet,
            Err(_) => return Content::Damaged,
        },
        NULL | LOOP => {
            let Some((family, packet)) = data.split_first_chunk() else { return Content::Damaged };
            // In the byte order of the machine that wrote the capture; 2 is IPv4, the others are
            // IPv6 on different systems.
            let family = u32::from_be_bytes(*family).min(u32::from_le_bytes(*family));
            if !matches!(family, 2 | 10 | 23 | 24 | 28 | 30) {
                return Content::Other;
            }
            return ip(packet);
        }
        COOKED => return after_type(be_u16(14), data.get(16..)),
        COOKED_2 => return after_type(be_u16(0), data.get(20..)),
        _ if RAW.contains(&link) => return ip(data),
        _ => return Content::UnknownLink,
    };
    content(&packet)
}

/// Parses a packet after its Ethernet type.
fn after_type(kind: Option<u16>, packet: Option<&[u8]>) -> Content<'_> {
    let (Some(kind), Some(packet)) = (kind, packet) else { return Content::Damaged };
    content(&LaxSlicedPacket::from_ether_type(EtherType(kind), packet))
}

fn ip(packet: &[u8]) -> Content<'_> {
    LaxSlicedPacket::from_ip(packet).map_or(Content::Damaged, |packet| content(&packet))
}

fn content<'a>(packet: &LaxSlicedPacket<'a>) -> Content<'a> {
    let (from, to, payload, total) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let total = usize::from(header.total_len()).saturating_sub(header.slice().len());
            let addrs = (header.source_addr().into(), header.destination_addr().into());
            (addrs.0, addrs.1, ip.payload(), total)
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let total = usize::from(header.payload_length());
            let total = total.saturating_sub(ip.extensions().slice().len());
            let addrs: (IpAddr, IpAddr) =
                (header.source_addr().into(), header.destination_addr().into());
            (addrs.0, addrs.1, ip.payload(), total)
        }
        Some(LaxNetSlice::Arp(_)) => return Content::Other,
        None => {
            return if packet.stop_err.is_some() { Content::Damaged } else { Content::Other };
        }
    };
    if payload.fragmented {
        return Content::Fragment;
    }
    // With segments of more than 64 KiB, which are split after the capture, the length is 0.
    let missing = if payload.incomplete { total.saturating_sub(payload.payload.len()) } else { 0 };
    let missing = missing as u64;
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Content::Tcp(Segment {
            from: SocketAddr::new(from, tcp.source_port()),
            to: SocketAddr::new(to, tcp.destination_port()),
            sequence: tcp.sequence_number(),
            ack: tcp.ack().then(|| tcp.acknowledgment_number()),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            payload: tcp.payload(),
            missing,
        }),
        Some(TransportSlice::Udp(udp)) => Content::Udp {
            from: SocketAddr::new(from, udp.source_port()),
            to: SocketAddr::new(to, udp.destination_port()),
            payload: udp.payload(),
            missing,
        },
        Some(_) => Content::Other,
        None if matches!(payload.ip_number.0, TCP | UDP) => Content::Damaged,
        None => Content::Other,
    }
}

/// Returns the link type of a packet in a dump, which has none: the headers must fit one another.
pub(crate) fn guess(data: &[u8]) -> Option<u32> {
    let fits = |at: usize| {
        let packet = data.get(at..).unwrap_or_default();
        let be_u16 = |at: usize| Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?));
        let rest = match packet.first() {
            Some(first) if first >> 4 == 4 && first & 15 >= 5 => usize::from(be_u16(2)?),
            Some(first) if first >> 4 == 6 => usize::from(be_u16(4)?) + 40,
            _ => return None,
        };
        // Short frames of Ethernet are padded to 60 bytes.
        let padding = packet.len().checked_sub(rest)?;
        let padded = matches!(at, 14 | 18) && data.len() <= 64;
        if padding > 0 && !padded {
            return None;
        }
        matches!(ip(packet), Content::Tcp(_) | Content::Udp { .. }).then_some(())
    };
    let type_at = |at: usize| {
        let kind = data.get(at..).and_then(|rest| rest.first_chunk());
        kind.map(|kind| EtherType(u16::from_be_bytes(*kind)))
    };
    let is_ip = |at| matches!(type_at(at), Some(ether_type::IPV4 | ether_type::IPV6));
    let tagged = type_at(12) == Some(ether_type::VLAN_TAGGED_FRAME) && is_ip(16);
    if fits(0).is_some() {
        Some(RAW_IP)
    } else if (is_ip(12) && fits(14).is_some()) || (tagged && fits(18).is_some()) {
        Some(ETHERNET)
    } else if is_ip(14) && fits(16).is_some() {
        Some(COOKED)
    } else if is_ip(0) && fits(20).is_some() {
        Some(COOKED_2)
    } else {
        fits(4).map(|()| NULL)
    }
}
