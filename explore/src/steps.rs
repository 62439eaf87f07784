//! The steps: everything that can happen in a state, and what it leads to.

use std::sync::Arc;

use stateright::{Model, Property};
use unstick::{FrameBuf, Framing, V1};
use unstick_session::message::Code;

use crate::bounds::{Bound, Sends};
use crate::laws::{self, Law};
use crate::reached::{Reached, Seen};
use crate::turn::Turn;
use crate::world::{Frame, Hashed, Item, Line, Outcome, Phase, Side, World};

/// A bounded model: two sessions and everything around them.
#[derive(Clone, Debug)]
pub struct Explore {
    pub bound: Bound,
    pub reached: Arc<Reached>,
}

/// A step, mostly of the side with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A new connection.
    Connect,
    /// The next frame, or the end, arrives.
    Receive(usize),
    /// The next byte arrives.
    ReceiveByte(usize),
    /// The next message of a file is sent.
    Send(usize, usize),
    /// The disk has answered.
    Work(usize, usize),
    /// The session is asked for its own messages.
    Poll(usize),
    Close(usize),
    // What may happen, and need not.
    Rush(usize, usize),
    Cancel(usize, usize),
    Ping(usize),
    Tick(usize),
    Drain(usize),
    CloseEarly(usize),
    Change(usize, usize),
    Cut,
    /// A program is killed; its disk loses as many bytes of the first part.
    Crash(usize, u8),
}

impl Explore {
    pub fn new(bound: Bound) -> Self {
        Self { bound, reached: Arc::default() }
    }

    /// Adds the steps that are bound to happen.
    fn due(&self, world: &World, steps: &mut Vec<Step>) {
        let bound = &self.bound;
        for me in [0, 1] {
            let side = &world.sides[me];
            if !side.is_up {
                continue;
            }
            let is_blocked = bound.reads_wait
                && bound.room.is_some_and(|room| world.lines[me].items.len() > room);
            if !world.lines[1 - me].items.is_empty() && !is_blocked {
                let whole = !bound.bytes || !matches!(world.lines[1 - me].items[0], Item::Frame(_));
                steps.push(if whole { Step::Receive(me) } else { Step::ReceiveByte(me) });
            }
            if let Some(job) = Turn::next_job(bound, me, side, &world.lines) {
                steps.push(Step::Send(me, job));
            }
            let waits = |i: &usize| {
                let incoming = &side.incoming[*i];
                incoming.is_unanswered || incoming.done.is_some()
            };
            let works = (0..side.incoming.len()).filter(waits);
            // With many, one after the other.
            let most = if bound.fillers > 0 { 1 } else { usize::MAX };
            steps.extend(works.take(most).map(|i| Step::Work(me, i)));
            if bound.late && side.session.clone().poll_transmit().is_some() {
                steps.push(Step::Poll(me));
            }
            if Turn::may_close(side) {
                steps.push(Step::Close(me));
            }
        }
        if world.sides.iter().all(|side| !side.is_up)
            && world.sides.iter().any(|side| side.has_jobs())
        {
            steps.push(Step::Connect);
        }
    }

    /// Adds what may happen.
    fn possible(&self, world: &World, steps: &mut Vec<Step>) {
        let left = &world.left;
        for me in [0, 1] {
            let side = &world.sides[me];
            let is_talking = side.is_up && !side.has_closed && side.session.error().is_none();
            if is_talking {
                for (i, job) in side.jobs.iter().enumerate() {
                    let waits = matches!(job.phase, Phase::Waits { .. });
                    if waits && self.bound.sends == Sends::Either {
                        steps.push(Step::Rush(me, i));
                    }
                    let is_open = waits || matches!(job.phase, Phase::Sends { .. });
                    if is_open && left.cancels[me] > 0 {
                        steps.push(Step::Cancel(me, i));
                    }
                }
                if left.pings[me] > 0 {
                    steps.push(Step::Ping(me));
                }
                if left.ticks[me] > 0 {
                    steps.push(Step::Tick(me));
                }
                if left.closes[me] > 0 && !side.wants_close {
                    steps.push(Step::Drain(me));
                    steps.push(Step::CloseEarly(me));
                }
            }
            if left.changes > 0 {
                let fresh = |file: &usize| world.versions[me][*file] == 0;
                let files = (0..world.versions[me].len()).filter(fresh);
                steps.extend(files.map(|file| Step::Change(me, file)));
            }
            if left.crashes[me] > 0 && side.is_up {
                let part = world.disks[me].parts[0].as_ref().map_or(0, Vec::len);
                let most = if self.bound.power { u8::try_from(part).unwrap_or(0) } else { 0 };
                steps.extend((0..=most).map(|lost| Step::Crash(me, lost)));
            }
        }
        if left.cuts > 0 && world.sides.iter().all(|side| side.is_up) {
            steps.push(Step::Cut);
        }
    }

    fn take(&self, world: &World, step: Step) -> World {
        let turn = |me| Turn::new(&self.bound, &self.reached, world, me);
        let with = |me, act: &dyn Fn(&mut Turn<'_>)| {
            let mut turn = turn(me);
            act(&mut turn);
            turn.end()
        };
        match step {
            Step::Connect => {
                if world.left != self.bound.left {
                    self.reached.mark(Seen::Reconnected);
                }
                let mut first = turn(0);
                first.connect();
                let world = first.end();
                let mut second = Turn::new(&self.bound, &self.reached, &world, 1);
                second.connect();
                let mut world = second.end();
                if self.bound.fillers > 0 && world.left == self.bound.left {
                    self.fill(&mut world);
                }
                world
            }
            Step::Receive(me) => with(me, &|turn| turn.receive()),
            Step::ReceiveByte(me) => with(me, &receive_byte),
            Step::Send(me, job) => with(me, &|turn| turn.go_on(job)),
            Step::Work(me, i) => with(me, &|turn| turn.work(i)),
            Step::Poll(me) => with(me, &|turn| turn.poll()),
            Step::Close(me) => with(me, &|turn| turn.close()),
            Step::Rush(me, job) => with(me, &|turn| turn.rush(job)),
            Step::Cancel(me, job) => with(me, &|turn| turn.cancel(job)),
            Step::Ping(me) => with(me, &|turn| turn.ping()),
            Step::Tick(me) => with(me, &|turn| turn.tick()),
            Step::Drain(me) => with(me, &|turn| turn.drain()),
            Step::CloseEarly(me) => with(me, &|turn| turn.close_early()),
            Step::Change(me, file) => {
                let mut world = world.clone();
                world.left.changes -= 1;
                world.versions[me][file] = 1;
                world
            }
            Step::Cut => {
                let mut world = world.clone();
                world.left.cuts -= 1;
                cut(&mut world, &[0, 1], &Item::Failure);
                world
            }
            Step::Crash(me, lost) => {
                let mut world = world.clone();
                world.left.crashes[me] -= 1;
                let jobs = world.sides[me].jobs.clone();
                let mut fresh = Side::new(&self.bound, me);
                for (fresh, job) in fresh.jobs.iter_mut().zip(jobs) {
                    // What the user has cancelled is not started again.
                    if let Phase::Cancelled { .. } | Phase::Over(Outcome::Cancelled) = job.phase {
                        fresh.phase = Phase::Over(Outcome::Cancelled);
                    }
                }
                world.sides[me] = Hashed::new(fresh);
                if let Some(part) = &mut world.disks[me].parts[0] {
                    part.truncate(part.len() - usize::from(lost));
                }
                if !self.bound.keyed {
                    world.disks[me].parts = Default::default();
                }
                cut(&mut world, &[me], &Item::End);
                world.lines[1 - me] = Line { is_cut: true, ..Line::default() };
                world
            }
        }
    }

    /// Lets side 0 have opened, and done, files of no bytes, of which side 1 has stored none yet.
    fn fill(&self, world: &mut World) {
        for _ in 0..self.bound.fillers {
            for me in [0, 1] {
                let mut turn = Turn::new(&self.bound, &self.reached, world, me);
                if me == 0 {
                    turn.fill();
                } else {
                    while !turn.world.lines[0].items.is_empty() {
                        turn.receive();
                    }
                }
                *world = turn.end();
            }
        }
    }

    /// Checks a state in which nothing is bound to happen.
    fn check_rest(&self, world: &mut World) {
        let up = || world.sides.iter().enumerate().filter(|(_, side)| side.is_up);
        let law = if up().any(|(me, _)| !world.lines[1 - me].items.is_empty()) {
            Law::NoDeadlock
        } else if world.sides.iter().any(|side| side.has_closed || side.saw_close) {
            Law::ClosesEnd
        } else if up().any(|(_, side)| !side.asked.is_empty() || !side.owes.is_empty()) {
            Law::TransfersEnd
        } else if up().any(|(_, side)| side.ping.is_some()) {
            Law::PingsAnswered
        } else {
            let has_changed = world.left.changes < self.bound.left.changes;
            let is_well = |phase: &Phase| match phase {
                Phase::Over(Outcome::Stored | Outcome::Cancelled) => true,
                Phase::Over(Outcome::Exists) => has_changed,
                // A cancelled try is repeated with the next connection.
                Phase::Later => has_changed,
                _ => false,
            };
            let stored = |me: usize, i: usize, phase: &Phase| {
                *phase != Phase::Over(Outcome::Stored) || world.disks[1 - me].files[i].is_some()
            };
            let mut jobs = world.sides.iter().enumerate().flat_map(|(me, side)| {
                side.jobs.iter().enumerate().map(move |(i, job)| (me, i, &job.phase))
            });
            if jobs.all(|(me, i, phase)| is_well(phase) && stored(me, i, phase)) {
                return;
            }
            Law::RetryStores
        };
        world.broken = Some(law);
    }
}

/// Ends the streams of these writers, whatever is on the way.
fn cut(world: &mut World, writers: &[usize], end: &Item) {
    for writer in writers {
        let line = &mut world.lines[*writer];
        if world.sides[1 - writer].is_up {
            // A part of a frame that has arrived stays.
            let first = line.items.first().filter(|_| line.arrived > 0).cloned();
            line.items = first.into_iter().chain([end.clone()]).collect();
        } else {
            line.items.clear();
        }
        line.is_cut = true;
    }
}

/// Takes the next byte of a frame, as a reader with the real buffer does.
fn receive_byte(turn: &mut Turn<'_>) {
    let from = 1 - turn.me;
    let line = &turn.world.lines[from];
    let Item::Frame(frame) = line.items[0].clone() else { return };
    let wire = wire(&frame);
    let arrived = usize::from(line.arrived);
    let mut buf = FrameBuf::growing(Framing::new(V1));
    if line.is_cut {
        buf.extend_all(&wire[..arrived]);
        let truncated = buf.finish().err().map(|error| Code(error.code()));
        turn.world.lines[from].items.remove(0);
        turn.world.lines[from].items.remove(0);
        turn.world.lines[from].arrived = 0;
        return turn.handle_end(truncated);
    }
    let arrived = arrived + 1;
    buf.extend_all(&wire[..arrived]);
    if buf.next_frame().is_ok_and(|frame| frame.is_some()) {
        return turn.receive();
    }
    turn.world.lines[from].arrived = u8::try_from(arrived).unwrap_or(u8::MAX);
    // Each of these calls may be made again with the same header.
    if let Ok(Some(header)) = buf.find_header() {
        turn.check_header(header.meta, header.payload_len);
    }
}

fn wire(frame: &Frame) -> Vec<u8> {
    let mut wire = Vec::new();
    let encoded = Framing::new(V1).encode(frame.kind, &frame.payload, &mut wire);
    debug_assert!(encoded.is_ok());
    wire
}

impl Model for Explore {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.bound)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.broken.is_none() {
            self.due(world, steps);
            self.possible(world, steps);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = self.take(world, step);
        for (before, after) in world.disks.iter().zip(&next.disks) {
            let files = before.files.iter().zip(&after.files);
            if files.into_iter().any(|(before, after)| before.is_some() && before != after) {
                next.broken.get_or_insert(Law::NotReplaced);
            }
        }
        if next.sides.iter().all(|side| side.has_closed) {
            self.reached.mark(Seen::BothClose);
        }
        if next.sides.iter().any(|side| side.session.unanswered() == 64) {
            self.reached.mark(Seen::Full);
        }
        if next.broken.is_none() {
            let mut due = Vec::new();
            self.due(&next, &mut due);
            if due.is_empty() {
                self.check_rest(&mut next);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        laws::properties()
    }
}
