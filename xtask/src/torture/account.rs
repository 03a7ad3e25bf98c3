//! What the journals of both sides say: which batch carried which event, and which batches were in
//! doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use contract::checkpoint::Checkpoint;
use contract::streams::AUDIT_STREAM;
use serde::Deserialize;
use simulator::journal::Journal;

/// The accounts of both sides, taken down after each run.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// How much of the simulator's journal has been read.
    read: usize,
    /// For each event, the batches that carried it to Azure, in their order.
    carried: BTreeMap<String, Vec<String>>,
    /// Batches that the worker's journal named as being in flight when a run had ended.
    in_flight: BTreeSet<String>,
    /// Batches of which an answer was lost.
    answer_lost: BTreeSet<String>,
}

/// The verdict.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) lost: usize,
    pub(super) duplicate_rows: usize,
    pub(super) unexplained: usize,
}

#[derive(Deserialize)]
struct SentRow {
    uid: Option<String>,
}

/// Mimecast's ids of the events in a file of dead letters.
pub(super) fn ids_of_letters(content: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Letter {
        row: Option<SentRow>,
    }
    let lines = content.split(|&byte| byte == b'\n');
    let letters = lines.filter_map(|line| serde_json::from_slice::<Letter>(line).ok());
    letters.filter_map(|letter| letter.row?.uid).collect()
}

impl Accounts {
    /// Reads what is new in the simulator's journal, and the batches in flight in the checkpoint.
    pub(super) fn note(&mut self, journal: &Journal, checkpoint: Option<&[u8]>) {
        let entries = journal.since(self.read);
        self.read += entries.len();
        for entry in
            entries.iter().filter(|entry| entry.service == "ingestion" && entry.target.contains(AUDIT_STREAM))
        {
            let batch = entry.header("x-ms-client-request-id").unwrap_or_default();
            // No answer: the connection was cut before the service saw the call, or after. Either may
            // have stored the rows; what was stored is counted by the rows themselves.
            match entry.status {
                Some(204) => self.carry(batch, &entry.body),
                None => {
                    self.answer_lost.insert(batch.to_owned());
                    self.carry(batch, &entry.body);
                }
                Some(_) => {}
            }
        }
        let checkpoint = checkpoint.and_then(|content| Checkpoint::read(content).ok());
        self.in_flight
            .extend(checkpoint.into_iter().flat_map(|read| read.in_flight).map(|batch| batch.batch));
    }

    fn carry(&mut self, batch: &str, body: &[u8]) {
        let mut plain = Vec::new();
        if flate2::read::GzDecoder::new(body).read_to_end(&mut plain).is_err() {
            return;
        }
        let rows: Vec<SentRow> = serde_json::from_slice(&plain).unwrap_or_default();
        for id in rows.into_iter().filter_map(|row| row.uid) {
            self.carried.entry(id).or_default().push(batch.to_owned());
        }
    }

    /// Compares what was served with what was stored. A row that is there again is explained where one
    /// of the batches that carried it before the last was in doubt.
    pub(super) fn judge<'a>(
        &self,
        served: &[String],
        stored: impl Iterator<Item = &'a str>,
        set_aside: &BTreeSet<String>,
    ) -> Judged {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for id in stored {
            *count.entry(id).or_default() += 1;
        }
        let lost =
            served.iter().filter(|id| !count.contains_key(id.as_str()) && !set_aside.contains(*id)).count();
        let mut judged = Judged { lost, duplicate_rows: 0, unexplained: 0 };
        for (id, &rows) in count.iter().filter(|(_, rows)| **rows > 1) {
            judged.duplicate_rows += rows - 1;
            let carried = self.carried.get(*id).map(Vec::as_slice).unwrap_or_default();
            let doubtful =
                |batch: &&String| self.in_flight.contains(*batch) || self.answer_lost.contains(*batch);
            let before_the_last = carried.split_last().map(|(_, before)| before).unwrap_or_default();
            let explained = before_the_last.iter().filter(doubtful).count();
            judged.unexplained += (rows - 1).saturating_sub(explained);
        }
        judged
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Accounts, Judged};

    fn accounts(carried: &[(&str, &[&str])], in_flight: &[&str]) -> Accounts {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Accounts {
            carried: carried.iter().map(|&(id, batches)| (id.to_owned(), texts(batches))).collect(),
            in_flight: texts(in_flight).into_iter().collect(),
            ..Accounts::default()
        }
    }

    #[test]
    fn only_a_batch_in_doubt_explains_a_repetition() {
        let served = ["a", "b", "c"].map(str::to_owned);
        let accounts = accounts(&[("a", &["1", "2"]), ("b", &["2", "3"]), ("c", &["3"])], &["1"]);
        let judge = |set_aside: &[&str]| {
            let set_aside: BTreeSet<String> = set_aside.iter().map(|&id| id.to_owned()).collect();
            accounts.judge(&served, ["a", "a", "b", "b"].into_iter(), &set_aside)
        };
        assert_eq!(judge(&[]), Judged { lost: 1, duplicate_rows: 2, unexplained: 1 });
        // What is kept with its reason is not lost.
        assert_eq!(judge(&["c"]).lost, 0);
    }
}
