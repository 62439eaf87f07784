//! Writes captures of packets.
#![allow(unreachable_pub)]

use etherparse::PacketBuilder;

pub const ETHERNET: u32 = 1;
pub const RAW: u32 = 101;

/// Packets with their times in microseconds, each beginning with its header of IP.
#[derive(Clone, Default)]
pub struct Tape {
    pub packets: Vec<(u64, Vec<u8>)>,
}

/// What a segment is besides its payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    Syn,
    Data,
    Fin,
    Rst,
}

impl Tape {
    fn now(&self) -> u64 {
        1_753_380_000_000_000 + self.packets.len() as u64 * 1_000
    }

    /// Adds a segment of the connection with this client's port; the server's is 7000. Sequence numbers
    /// are relative: 0 is the SYN's.
    pub fn tcp(&mut self, port: u16, by_client: bool, sequence: u32, flag: Flag, payload: &[u8]) {
        let (ours, theirs) = if by_client { (port, 7000) } else { (7000, port) };
        let ip = if by_client {
            PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        } else {
            PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64)
        };
        // Near the end, so that the numbers wrap around.
        let tcp = ip.tcp(ours, theirs, u32::MAX.wrapping_sub(9).wrapping_add(sequence), 65_535);
        let tcp = match flag {
            Flag::Syn if by_client => tcp.syn(),
            Flag::Syn => tcp.syn().ack(u32::MAX - 8),
            Flag::Data => tcp,
            Flag::Fin => tcp.fin(),
            Flag::Rst => tcp.rst(),
        };
        let mut packet = Vec::new();
        tcp.write(&mut packet, payload).unwrap();
        self.packets.push((self.now(), packet));
    }

    /// Adds a whole connection: the client sends the parts of one stream, the server those of the other,
    /// in turn.
    pub fn connection(&mut self, port: u16, client: &[&[u8]], server: &[&[u8]]) {
        self.tcp(port, true, 0, Flag::Syn, b"");
        self.tcp(port, false, 0, Flag::Syn, b"");
        let mut next = [1, 1];
        for i in 0..client.len().max(server.len()) {
            for (side, parts) in [client, server].into_iter().enumerate() {
                if let Some(part) = parts.get(i) {
                    self.tcp(port, side == 0, next[side], Flag::Data, part);
                    next[side] += u32::try_from(part.len()).unwrap();
                }
            }
        }
        self.tcp(port, true, next[0], Flag::Fin, b"");
        self.tcp(port, false, next[1], Flag::Fin, b"");
    }

    pub fn udp(&mut self, by_client: bool, payload: &[u8]) {
        let (from, to) = if by_client { (40_000, 7000) } else { (7000, 40_000) };
        let udp = PacketBuilder::ipv4([10, 0, 0, 3], [10, 0, 0, 3], 64).udp(from, to);
        let mut packet = Vec::new();
        udp.write(&mut packet, payload).unwrap();
        self.packets.push((self.now(), packet));
    }

    /// Writes the packets as a pcap file.
    pub fn pcap(&self) -> Vec<u8> {
        self.pcap_as(true, false, RAW, usize::MAX)
    }

    pub fn pcap_as(&self, little: bool, nanos: bool, link: u32, snap_len: usize) -> Vec<u8> {
        let number = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut file = Vec::new();
        file.extend(number(if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }));
        file.extend(number(if little { 4 << 16 | 2 } else { 2 << 16 | 4 }));
        file.extend([0; 8]);
        file.extend(number(65_535));
        file.extend(number(link));
        for (time, packet) in &self.packets {
            let packet = linked(link, packet);
            let fraction = u32::try_from(time % 1_000_000).unwrap();
            file.extend(number(u32::try_from(time / 1_000_000).unwrap()));
            file.extend(number(if nanos { fraction * 1_000 } else { fraction }));
            let kept = packet.len().min(snap_len);
            file.extend(number(u32::try_from(kept).unwrap()));
            file.extend(number(u32::try_from(packet.len()).unwrap()));
            file.extend(&packet[..kept]);
        }
        file
    }

    /// Writes a section of a pcapng file with two interfaces, whose packets take turns.
    pub fn pcapng(&self, little: bool) -> Vec<u8> {
        let number = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let short = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut file = Vec::new();
        let mut block = |kind: u32, body: &[u8]| {
            let len = number(u32::try_from(body.len().next_multiple_of(4) + 12).unwrap());
            file.extend(number(kind));
            file.extend(len);
            file.extend(body);
            file.extend(&[0; 3][..body.len().next_multiple_of(4) - body.len()]);
            file.extend(len);
        };
        let version = if little { [1, 0, 0, 0] } else { [0, 1, 0, 0] };
        block(0x0a0d_0d0a, &[&number(0x1a2b_3c4d)[..], &version, &[0xff; 8]].concat());
        // Ethernet with nanoseconds, and IP with units of 2^-10 seconds from an hour before.
        let resolution = |value: u8| [&short(9)[..], &short(1), &[value, 0, 0, 0]].concat();
        let hour = if little { (-3600_i64).to_le_bytes() } else { (-3600_i64).to_be_bytes() };
        let offset = [&short(14)[..], &short(8), &hour].concat();
        let end = [0; 4];
        block(1, &[&short(1)[..], &[0; 2], &number(0), &resolution(9), &end].concat());
        let options = [resolution(0x8a), offset, end.to_vec()].concat();
        block(1, &[&short(101)[..], &[0; 2], &number(0), &options].concat());
        block(0x0bad, b"a block that nobody knows");
        for (i, (time, packet)) in self.packets.iter().enumerate() {
            let (link, ticks) = match i % 2 {
                0 => (ETHERNET, time * 1_000),
                _ => (RAW, (time / 1_000_000 + 3600) * 1024 + time % 1_000_000 * 1024 / 1_000_000),
            };
            let packet = linked(link, packet);
            let len = number(u32::try_from(packet.len()).unwrap());
            let high = number(u32::try_from(ticks >> 32).unwrap());
            let low = number(u32::try_from(ticks & 0xffff_ffff).unwrap());
            let interface = number(u32::try_from(i % 2).unwrap());
            block(6, &[&interface[..], &high, &low, &len, &len, &packet].concat());
        }
        file
    }
}

/// Returns a packet with the header of a link.
pub fn linked(link: u32, packet: &[u8]) -> Vec<u8> {
    let head: Vec<u8> = match link {
        0 => vec![2, 0, 0, 0],
        1 => [&[2; 12][..], &[8, 0]].concat(),
        // With a tag of a VLAN.
        10_001 => [&[2; 12][..], &[0x81, 0, 0, 7, 8, 0]].concat(),
        108 => vec![0, 0, 0, 2],
        113 => [&[0; 14][..], &[8, 0]].concat(),
        276 => [&[8, 0][..], &[0; 18]].concat(),
        _ => Vec::new(),
    };
    [head, packet.to_vec()].concat()
}
