//! The identities of delivered events that may be read again, in compact form.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use contract::checkpoint::RememberedIds;
use time::OffsetDateTime;

/// How many identities are kept at most. In the checkpoint each takes 8 bytes, base64, of the 1 MB
/// that the design allows; the rest is left for the groups' names and everything else.
pub const LIMIT: usize = 88_000;

/// A set of hashes that are not hashed again.
pub type HashesSeen = HashSet<u64, BuildHasherDefault<Ready>>;

/// Passes a number on as its own hash.
#[derive(Debug, Default, Clone, Copy)]
pub struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only `u64` is ever hashed, which comes through `write_u64`.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// So many identities are kept beyond the overlap where there are no more: a day that is found
/// incomplete can then be read again without repeating any. More would make each write slower.
const SPARE: usize = 8_000;

/// Delivered events by the minute of their time, so that what no window reaches back to any more can
/// be forgotten. Group 0 holds those that are older than the horizon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    groups: BTreeMap<u32, Vec<u64>>,
    len: usize,
    horizon: Horizon,
    forgotten: u64,
}

/// From when on events are remembered after the window has closed, in minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Horizon {
    /// The next window reaches back to here.
    needed: u32,
    /// A day that is not yet checked begins here; kept as far as there is room.
    wanted: u32,
}

impl Remembered {
    /// What a checkpoint remembers.
    pub fn from_checkpoint(groups: Vec<RememberedIds>) -> Self {
        let mut remembered = Self::default();
        for RememberedIds { minute, ids } in groups {
            remembered.len += ids.len();
            remembered.groups.entry(minute).or_default().extend(ids);
        }
        remembered
    }

    /// Them by the minute, as a checkpoint is written with them.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &[u64])> + Clone {
        self.groups.iter().map(|(&minute, ids)| (minute, &**ids)).filter(|(_, ids)| !ids.is_empty())
    }

    /// All of them, to look up, in place of what is in this table.
    pub fn look_up(&self, seen: &mut HashesSeen) {
        seen.clear();
        seen.extend(self.groups.values().flatten());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many had to be forgotten early, because there was no room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// From when on events must be told apart after the window has closed, and from when on it would
    /// be good.
    pub fn set_horizon(&mut self, needed: OffsetDateTime, wanted: OffsetDateTime) {
        let needed = minute(needed);
        self.horizon = Horizon { needed, wanted: minute(wanted).min(needed) };
    }

    /// Remembers a delivered event. One without a readable time is kept with the latest.
    pub fn insert(&mut self, hash: u64, event_time: Option<OffsetDateTime>) {
        let minute = event_time.map_or(u32::MAX, minute);
        let group = if minute < self.horizon.wanted { 0 } else { minute };
        self.groups.entry(group).or_default().push(hash);
        self.len += 1;
        if self.len > LIMIT {
            self.make_room();
        }
    }

    /// Forgets what the next window will not reach back to: the window has closed. What lies before
    /// that stays as far as there is room to spare, the newest first.
    ///
    /// Events whose time could not be read stay for one window more.
    pub fn close(&mut self) {
        let Horizon { needed, wanted } = self.horizon;
        let unread = self.groups.remove(&u32::MAX).unwrap_or_default();
        let mut older = std::mem::take(&mut self.groups);
        let mut kept = older.split_off(&needed.max(1));
        let mut room = SPARE.saturating_sub(kept.values().map(Vec::len).sum());
        for (minute, ids) in older.split_off(&wanted.max(1)).into_iter().rev() {
            if ids.len() > room {
                break;
            }
            room -= ids.len();
            kept.insert(minute, ids);
        }
        if !unread.is_empty() {
            kept.entry(needed.max(1)).or_default().extend(unread);
        }
        self.groups = kept;
        self.len = self.groups.values().map(Vec::len).sum();
    }

    /// The oldest go: first those that matter only if this window had to be read again from its start.
    fn make_room(&mut self) {
        let target = LIMIT - LIMIT / 8;
        for ids in self.groups.values_mut() {
            let surplus = self.len.saturating_sub(target).min(ids.len());
            ids.drain(..surplus);
            self.len -= surplus;
            self.forgotten += surplus as u64;
        }
        self.groups.retain(|_, ids| !ids.is_empty());
    }
}

/// Minutes since 1970, within what four bytes and the two special groups allow.
fn minute(at: OffsetDateTime) -> u32 {
    u32::try_from(at.unix_timestamp().div_euclid(60)).map_or(1, |minute| minute.clamp(1, u32::MAX - 1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contract::checkpoint::Checkpoint;
    use time::macros::datetime;

    use super::{HashesSeen, LIMIT, Remembered};

    fn hashes(remembered: &Remembered) -> BTreeSet<u64> {
        let mut seen = HashesSeen::default();
        remembered.look_up(&mut seen);
        seen.into_iter().collect()
    }

    #[test]
    fn closing_forgets_what_the_next_window_does_not_reach() {
        let mut remembered = Remembered::default();
        let horizon = datetime!(2026-11-25 09:45 UTC);
        remembered.set_horizon(horizon, horizon);
        remembered.insert(1, Some(datetime!(2026-11-25 09:44:59 UTC)));
        remembered.insert(2, Some(horizon));
        remembered.insert(3, None);
        assert_eq!(hashes(&remembered), [1, 2, 3].into());
        let mut content = Vec::new();
        Checkpoint::first().write_with(remembered.groups(), &mut content);
        let read = Checkpoint::read(&content).expect("reads back");
        let mut restored = Remembered::from_checkpoint(read.remembered);
        assert_eq!(hashes(&restored), [1, 2, 3].into());
        restored.set_horizon(horizon, horizon);
        restored.close();
        assert_eq!(hashes(&restored), [2, 3].into());
        // The unread one goes with the next window but one.
        let later = datetime!(2026-11-25 09:46 UTC);
        restored.set_horizon(later, later);
        restored.close();
        assert!(restored.is_empty());
    }

    #[test]
    fn a_day_that_is_not_checked_stays_while_there_is_room_to_spare() {
        let mut remembered = Remembered::default();
        let (needed, wanted) = (datetime!(2026-11-25 09:45 UTC), datetime!(2026-11-24 00:00 UTC));
        remembered.set_horizon(needed, wanted);
        for hash in 0..20_u64 {
            remembered.insert(hash, Some(needed - time::Duration::hours(hash.try_into().expect("small"))));
        }
        remembered.insert(99, Some(datetime!(2026-11-23 23:59 UTC)));
        remembered.close();
        assert_eq!(hashes(&remembered), (0..20).collect());
        for hash in 1_000..11_000_u64 {
            remembered.insert(hash, Some(needed));
        }
        remembered.close();
        // The needed ones leave no room.
        assert_eq!(hashes(&remembered), [0].into_iter().chain(1_000..11_000).collect());
    }

    #[test]
    fn a_full_memory_stays_below_one_megabyte_and_keeps_the_newest() {
        let mut remembered = Remembered::default();
        let horizon = datetime!(2026-11-25 09:45 UTC);
        remembered.set_horizon(horizon, horizon);
        for hash in 0..200_000_u64 {
            let recent = hash % 10 == 0;
            let age = if recent { time::Duration::minutes(3) } else { -time::Duration::hours(3) };
            remembered.insert(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15), Some(horizon + age));
        }
        assert!(remembered.len() <= LIMIT);
        assert_eq!(remembered.forgotten(), 200_000 - remembered.len() as u64);
        let mut content = Vec::new();
        Checkpoint::first().write_with(remembered.groups(), &mut content);
        assert!(content.len() < 1_000_000);
        remembered.close();
        assert_eq!(remembered.len(), 20_000);
    }
}
