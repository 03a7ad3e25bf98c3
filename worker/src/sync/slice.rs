//! One slice of a backfill, at a place of its own: read while the account goes on and other slices with
//! it, and taken up where it ended when it is killed.

use contract::checkpoint::slice_key;

use super::deliver::Progress;
use super::read::Scratch;
use super::{Account, RunError, WindowEnd};
use crate::checkpoint::remembered::Remembered;
use crate::checkpoint::{Held, Place};
use crate::command::Slice;
use crate::poll::window;
use crate::report::Report;
use crate::world::Deadline;

impl Account {
    /// Where a slice keeps its place.
    pub(super) fn place_of(&self, slice: Slice) -> Place {
        let account = &self.settings.reporting.account;
        self.place.beside(&slice_key(account, &format!("{:08x}", slice.request), slice.from))
    }

    /// Reads a slice in the same windows as a backlog: they follow its volume.
    pub(super) async fn slice(
        &self,
        slice: Slice,
        held: &mut Held,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<WindowEnd, RunError> {
        let mut checkpoint = held.read().await?;
        self.note_in_flight(&checkpoint, report);
        let settle = self.settings.collect.settle;
        // What the account has delivered speaks for the slice too: its own place is new.
        if checkpoint.delivered_at.is_none() {
            checkpoint.delivered_at = self.place.delivered_at(&self.world).await;
        }
        if checkpoint.closed_until.is_none() && checkpoint.open.is_none() {
            // As if all before the slice had been read: the first window begins one overlap before. What
            // aged out while the slice waited cannot be asked for.
            let from = slice.from.max(window::oldest(self.world.now()));
            checkpoint.closed_until = Some((from + self.settings.collect.overlap).min(slice.to));
        } else if checkpoint.open.is_none()
            && checkpoint.closed_until.is_some_and(|closed| closed >= slice.to)
        {
            // It was read, and the message came once more.
            return Ok(WindowEnd::Closed);
        }
        let mut progress = Progress::new(self, held, checkpoint);
        let mut scratch = Scratch::new(self.transformer());
        let read = self.windows(&mut progress, &mut scratch, slice.to + settle, deadline, report).await;
        report.unknown_shapes = scratch.transformer.counts().to_json();
        self.note_forgotten(&progress, report);
        // How far the account has come is not what a slice tells.
        report.watermark = None;
        if matches!(read, Ok(WindowEnd::Closed)) {
            progress.checkpoint.closed_until = Some(slice.to);
            progress.checkpoint.days.clear();
            progress.remembered = Remembered::default();
            progress.save().await?;
        }
        read
    }
}
