//! State shared by both sides of a transfer: the position in the open file, and the transfers that
//! wait for their final status.

use super::{FileOpen, MAX_TRANSFERS};
use crate::message::ResumeKey;

/// The open file of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Open {
    pub(super) id: u32,
    size: Option<u64>,
    /// Whether the open has a resume key.
    is_resumable: bool,
    position: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Position {
    /// No data yet. The data may start at 0, or at `held`, the offset in ready.
    Start { held: Option<u64> },
    /// The offset of the next byte.
    At(u64),
}

/// Why a message does not match the open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Offset,
    /// `end` is the offset at which the data would end, `size` the announced size.
    Excess {
        end: u64,
        size: u64,
    },
    Total,
}

impl Open {
    pub(super) fn new(open: &FileOpen<'_>) -> Self {
        let FileOpen { id, key, size, .. } = *open;
        let is_resumable = key != ResumeKey::NONE;
        Self { id, size, is_resumable, position: Position::Start { held: None } }
    }

    /// Returns whether ready is allowed: before any data, and only once.
    pub(super) fn awaits_ready(&self) -> bool {
        matches!(self.position, Position::Start { held: None })
    }

    /// Returns whether data has arrived, or ready was sent. The sender does not wait for this side
    /// then.
    pub(super) fn is_begun(&self) -> bool {
        !self.awaits_ready()
    }

    /// Returns whether no data has arrived.
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

    /// Checks whether the file may end at `total`.
    pub(super) fn check_total(&self, total: u64) -> Result<(), Misfit> {
        if self.may_be_at(total) && self.size.is_none_or(|size| size == total) {
            Ok(())
        } else {
            Err(Misfit::Total)
        }
    }

    /// Returns the announced size if a part of `held` bytes would be larger.
    pub(super) fn exceeded_by(&self, held: u64) -> Option<u64> {
        self.size.filter(|size| held > *size)
    }

    /// Returns whether a part of `held` bytes is possible: none without a resume key, and none that
    /// is larger than the file.
    pub(super) fn can_hold(&self, held: u64) -> bool {
        (held == 0 || self.is_resumable) && self.exceeded_by(held).is_none()
    }

    fn may_be_at(&self, offset: u64) -> bool {
        match self.position {
            Position::Start { held } => offset == 0 || held == Some(offset),
            Position::At(next) => offset == next,
        }
    }
}

/// The transfers without a final status, each with its state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

    /// Adds a transfer. Returns `false` if there is no room.
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
