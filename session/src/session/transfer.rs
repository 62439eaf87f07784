//! What both sides of a transfer count: how far the open file is, and which transfers still wait
//! for their final status.

use super::MAX_TRANSFERS;

/// The file that is open in one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) id: u32,
    size: Option<u64>,
    position: Position,
}

#[derive(Clone, Copy, Debug)]
enum Position {
    /// No data yet. It may begin at 0, or behind what the receiver said that it holds.
    Start { held: Option<u64> },
    /// The offset of the next byte.
    At(u64),
}

/// Why a message does not fit the open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Offset,
    /// Where the data would end, and the size that was announced.
    Excess {
        end: u64,
        size: u64,
    },
    Total,
}

impl Open {
    pub(super) fn new(id: u32, size: Option<u64>) -> Self {
        Self { id, size, position: Position::Start { held: None } }
    }

    /// Whether ready has its place here: before any data, and once.
    pub(super) fn awaits_ready(&self) -> bool {
        matches!(self.position, Position::Start { held: None })
    }

    /// Whether data came, or is due: nobody has to be told to wait.
    pub(super) fn is_begun(&self) -> bool {
        !self.awaits_ready()
    }

    /// Whether no data came.
    pub(super) fn is_at_start(&self) -> bool {
        matches!(self.position, Position::Start { .. })
    }

    pub(super) fn ready(&mut self, held: u64) {
        self.position = Position::Start { held: Some(held) };
    }

    /// Counts a run of the file's bytes.
    pub(super) fn data(&mut self, offset: u64, len: u64) -> Result<(), Misfit> {
        if !self.may_be_at(offset) {
            return Err(Misfit::Offset);
        }
        let size = self.size.unwrap_or(u64::MAX);
        match offset.checked_add(len) {
            Some(end) if end <= size => {
                self.position = Position::At(end);
                Ok(())
            }
            end => Err(Misfit::Excess { end: end.unwrap_or(u64::MAX), size }),
        }
    }

    /// Whether the file may end here.
    pub(super) fn check_total(&self, total: u64) -> Result<(), Misfit> {
        if self.may_be_at(total) && self.size.is_none_or(|size| size == total) {
            Ok(())
        } else {
            Err(Misfit::Total)
        }
    }

    /// The size that was announced, if a part of so many bytes is larger.
    pub(super) fn exceeded_by(&self, held: u64) -> Option<u64> {
        self.size.filter(|size| held > *size)
    }

    fn may_be_at(&self, offset: u64) -> bool {
        match self.position {
            Position::Start { held } => offset == 0 || held == Some(offset),
            Position::At(next) => offset == next,
        }
    }
}

/// The transfers without a final status, each with what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Waiting<T> {
    slots: [Option<(u32, T)>; MAX_TRANSFERS],
}

impl<T: Copy> Waiting<T> {
    pub(super) const fn new() -> Self {
        Self { slots: [None; MAX_TRANSFERS] }
    }

    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Adds a transfer, if there is room.
    pub(super) fn insert(&mut self, id: u32, what: T) -> bool {
        match self.slots.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some((id, what));
                true
            }
            None => false,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.iter().all(Option::is_some)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.slots.iter_mut().flatten().find(|slot| slot.0 == id).map(|slot| &mut slot.1)
    }

    pub(super) fn remove(&mut self, id: u32) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|slot| slot.0 == id) {
                *slot = None;
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(u32, T)> {
        self.slots.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut (u32, T)> {
        self.slots.iter_mut().flatten()
    }
}
