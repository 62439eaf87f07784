//! Dumps with columns, and text in sections. They are read as a whole: the offsets say how many bytes a
//! line has.

use std::time::Duration;

use super::HINT;
use super::line::Line;
use crate::inspect::capture::link;
use crate::inspect::names::Side;
use crate::term::hex;

/// The maximum number of bytes that stand for the lines which a dump leaves out.
const MAX_REPEATED: u64 = 16 << 20;

/// What a text with columns has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    Bytes(Vec<u8>),
    /// Both sides of a connection, in the order in which they were sent.
    Sides(Vec<(Side, Vec<u8>)>),
    Packets(Vec<Dumped>),
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dumped {
    pub(crate) link: u32,
    pub(crate) time: Option<Duration>,
    pub(crate) data: Vec<u8>,
}

/// Consecutive lines whose offsets fit one another.
struct Block<'a> {
    /// The first and the last line before it.
    title: (&'a str, &'a str),
    indent: &'a str,
    number: usize,
    /// The offset after the last line.
    next: u64,
    data: Vec<u8>,
    /// The lines: their place in the text, and their end in `data`.
    parts: Vec<(usize, usize)>,
    width: Option<usize>,
}

/// Returns whether `next` can be the line after `line`: its offset is larger by the number of bytes.
pub(super) fn follows(line: &Line<'_>, next: &Line<'_>) -> bool {
    let same = line.offset.len() == next.offset.len() && line.is_marked == next.is_marked;
    same && [16, 10, 8].into_iter().any(|radix| step(line, next, radix).is_some())
}

/// Returns the number of bytes between two lines' offsets, if the first one has as many.
fn step(line: &Line<'_>, next: &Line<'_>, radix: u32) -> Option<usize> {
    let step = next.at(radix)?.checked_sub(line.at(radix)?)?;
    let step = usize::try_from(step).ok().filter(|step| (1..=256).contains(step))?;
    (line.bytes(Some(step), None).ok()?.len() == step).then_some(step)
}

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Columns, String> {
    if let Some(at) = text.lines().position(|line| line.starts_with("Follow: ")) {
        return follow(text, at);
    }
    let lines: Vec<_> = text.lines().collect();
    let split: Vec<_> = lines.iter().map(|line| Line::split(line)).collect();
    let radix = radix(&split);
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut order = 0;
    let (mut title, mut star, mut after_dump) = (("", ""), false, false);
    for (i, line) in split.iter().enumerate() {
        let number = i + 1;
        let fail = |why: &str| Err(format!("line {number}: {why}; {HINT}"));
        let text = lines.get(i).copied().unwrap_or_default();
        let Some(line) = line else {
            if text.trim() == "*" && after_dump {
                star = true;
                continue;
            }
            let is_bytes = !text.trim().is_empty()
                && text.split_whitespace().all(|word| hex::parse(word).is_ok());
            if is_bytes && !blocks.is_empty() {
                return fail("no offset stands in front");
            }
            if !text.trim().is_empty() {
                let last = text.trim();
                title = (if title.0.is_empty() { last } else { title.0 }, last);
                after_dump = false;
            }
            continue;
        };
        let Some(at) = line.at(radix) else { return fail("the offset is no number") };
        let known = blocks.iter().rposition(|block| block.indent == line.indent);
        let current = known.and_then(|index| blocks.get_mut(index));
        let next = split.iter().skip(i + 1).flatten().find(|next| next.indent == line.indent);
        let begins_again = |next: &Line<'_>| next.at(radix).is_none_or(|next| next <= at);
        let exact = match next {
            // Lines are left out after it.
            Some(_) if lines.get(number).is_some_and(|line| line.trim() == "*") => None,
            Some(next) if !begins_again(next) => match step(line, next, radix) {
                Some(step) => Some(step),
                None => {
                    let of = |other: &Option<Line<'_>>| other.as_ref() == Some(next);
                    let place = split.iter().skip(number).position(of).unwrap_or_default();
                    line.bytes(None, None)
                        .map_err(|why| format!("line {number}: {why}; {HINT}"))?;
                    let number = number + place + 1;
                    return Err(format!(
                        "line {number}: the offset does not fit the bytes before it; {HINT}"
                    ));
                }
            },
            _ => None,
        };
        let width = current.as_ref().and_then(|block| block.width);
        let bytes = line.bytes(exact, width);
        let bytes = bytes.map_err(|why| format!("line {number}: {why}; {HINT}"))?;
        // A wide gap may also stand in the middle of a line.
        let differs = |exact| written(line).is_some_and(|n| n != exact && n * 2 != exact);
        if line.is_marked && exact.is_some_and(differs) {
            return fail("the line has another number of bytes than the offsets say");
        }
        match current {
            Some(block) if star => {
                star = false;
                block.repeat(at).map_err(|why| format!("line {number}: {why}; {HINT}"))?;
                block.push(&bytes, &mut order);
            }
            Some(block) if block.next == at => block.push(&bytes, &mut order),
            // The end of some dumps is only an offset.
            _ if bytes.is_empty() => {}
            Some(_) if at != 0 => return fail("the offset does not fit the bytes before it"),
            _ => {
                let mut block = Block {
                    title,
                    indent: line.indent,
                    number,
                    next: at,
                    data: Vec::new(),
                    parts: Vec::new(),
                    width: None,
                };
                block.push(&bytes, &mut order);
                blocks.push(block);
                title = ("", "");
            }
        }
        after_dump = true;
    }
    assemble(blocks)
}

/// Returns the number of bytes up to the column of text, of a line with a mark after the offset.
fn written(line: &Line<'_>) -> Option<usize> {
    let rest = line.rest.trim_start();
    let hex = rest.split_once("  ").map_or(rest, |(hex, _)| hex);
    hex.contains(' ').then(|| hex::parse(hex).ok()).flatten().map(|bytes| bytes.len())
}

/// Returns the base of the offsets: the one in which they fit the numbers of bytes.
fn radix(split: &[Option<Line<'_>>]) -> u32 {
    let mut pairs = split.iter().flatten().zip(split.iter().flatten().skip(1));
    let fits = |(line, next): (&Line<'_>, &Line<'_>), radix| {
        let again = next.offset.bytes().all(|byte| byte == b'0');
        again || line.indent != next.indent || step(line, next, radix).is_some()
    };
    let first: Vec<_> = pairs.by_ref().take(64).collect();
    let all = |radix| first.iter().all(|(line, next)| fits((line, next), radix));
    [16, 10, 8].into_iter().find(|radix| all(*radix)).unwrap_or(16)
}

impl Block<'_> {
    fn push(&mut self, bytes: &[u8], order: &mut usize) {
        self.data.extend_from_slice(bytes);
        self.next = self.next.saturating_add(bytes.len() as u64);
        self.width = self.width.max(Some(bytes.len()));
        self.parts.push((*order, self.data.len()));
        *order += 1;
    }

    /// Repeats the last line up to this offset.
    fn repeat(&mut self, until: u64) -> Result<(), String> {
        let width = self.width.unwrap_or(0);
        let last = self.data.len().checked_sub(width).and_then(|from| self.data.get(from..));
        let last = last.unwrap_or_default().to_vec();
        let missing = until.checked_sub(self.next).unwrap_or(u64::MAX);
        if last.is_empty() || missing > MAX_REPEATED || !missing.is_multiple_of(last.len() as u64) {
            return Err("the dump leaves out lines that repeat".to_owned());
        }
        for _ in 0..missing / (last.len() as u64) {
            self.data.extend_from_slice(&last);
        }
        self.next = until;
        Ok(())
    }
}

/// Decides what the blocks are.
fn assemble(blocks: Vec<Block<'_>>) -> Result<Columns, String> {
    // Besides the packet, `tshark -x` prints what it has made of several.
    let is_source = |block: &&Block<'_>| {
        let title = block.title.1;
        !title.ends_with("):") || title.starts_with("Frame (") || title.starts_with("Packet (")
    };
    let packets: Vec<_> = blocks.iter().filter(is_source).collect();
    let link = packets.iter().find_map(|block| link::guess(&block.data));
    if let Some(first) = link {
        let packets = packets.iter().map(|block| Dumped {
            link: link::guess(&block.data).unwrap_or(first),
            time: time(block.title.0),
            data: block.data.clone(),
        });
        return Ok(Columns::Packets(packets.collect()));
    }
    let mut blocks = blocks;
    match blocks.as_mut_slice() {
        [] => Ok(Columns::Bytes(Vec::new())),
        [block] => Ok(Columns::Bytes(std::mem::take(&mut block.data))),
        // The peer's lines are indented.
        [one, other] if one.indent != other.indent => {
            let mut parts = Vec::new();
            let is_first = one.indent.len() < other.indent.len();
            for (block, side) in [(&*one, is_first), (&*other, !is_first)] {
                let side = if side { Side::Client } else { Side::Server };
                let mut from = 0;
                for (order, to) in &block.parts {
                    parts.push((*order, side, block.data.get(from..*to).unwrap_or_default()));
                    from = *to;
                }
            }
            parts.sort_by_key(|(order, ..)| *order);
            let sides = parts.into_iter().map(|(_, side, data)| (side, data.to_vec()));
            Ok(Columns::Sides(sides.collect()))
        }
        [_, second, ..] => Err(format!(
            "line {}: the offsets begin again, and these are no packets: give one dump at a time; \
             {HINT}",
            second.number
        )),
    }
}

/// Returns the time at the beginning of a line of tcpdump: of the day, or since the Unix epoch.
fn time(title: &str) -> Option<Duration> {
    let mut words = title.split_whitespace();
    let first = words.next()?;
    // The date is in front with -tttt.
    let word = if first.len() == 10 && first.contains('-') { words.next()? } else { first };
    let (whole, fraction) = word.split_once('.')?;
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let mut seconds = 0_u64;
    for part in whole.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    Some(Duration::new(seconds, nanos))
}

/// Parses what `tshark -z follow,tcp,raw` and `-z follow,tcp,hex` print: the lines of the second node
/// begin with a tab.
fn follow(text: &str, at: usize) -> Result<Columns, String> {
    let kind = text.lines().nth(at).unwrap_or_default().trim_end();
    let (is_raw, is_hex) = (kind.ends_with(",raw"), kind.ends_with(",hex"));
    if !is_raw && !is_hex {
        return Err(format!(
            "line {}: `{kind}` has lost bytes; take `tshark -q -z follow,tcp,raw,0`",
            at + 1
        ));
    }
    let mut sides = Vec::new();
    for (i, line) in text.lines().enumerate().skip(at + 1) {
        let head = line.starts_with("Filter: ") || line.starts_with("Node ");
        if head || line.trim().is_empty() || line.starts_with("===") {
            continue;
        }
        let side = if line.starts_with('\t') { Side::Server } else { Side::Client };
        let fail = |why: String| format!("line {}: {why}", i + 1);
        let bytes = if is_raw {
            hex::parse(line.trim()).map_err(|error| {
                fail(error.split_once(": ").map_or(error.clone(), |(_, why)| why.to_owned()))
            })?
        } else {
            let line = Line::split(line).ok_or_else(|| fail("no offset stands in front".into()))?;
            line.bytes(None, Some(16)).map_err(fail)?
        };
        sides.push((side, bytes));
    }
    Ok(Columns::Sides(sides))
}
