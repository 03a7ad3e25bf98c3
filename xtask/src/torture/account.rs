//! What the journals of both sides say: which batch carried which event, and which batches were in
//! doubt.

use std::collections::BTreeMap;
use std::io::Read;

use contract::checkpoint::Checkpoint;
use contract::streams::AUDIT_STREAM;
use serde::Deserialize;
use simulator::journal::{Entry, Journal};

/// The accounts of both sides, taken down after each run.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// What carried each event into the table, in the order of sending.
    carried: BTreeMap<String, Vec<Carried>>,
    /// Batches that the worker's journal named as being in flight when it was killed or lost its lease, and at
    /// which look into the services' journal.
    in_flight: BTreeMap<String, u32>,
    /// How often the services' journal was looked into: once after each run.
    looks: u32,
    /// Rows of calls that were worked off after a later run's.
    late: usize,
}

/// An event in a body that Azure took.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Carried {
    batch: String,
    /// The look at which it was found.
    look: u32,
    /// The worker never heard of it.
    answer_lost: bool,
}

/// The verdict.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// Events without a row.
    pub(super) lost: Vec<String>,
    /// Rows beyond the first, because a batch was in flight at a kill.
    pub(super) by_kill: usize,
    /// The same, because the answer to a batch was lost.
    pub(super) by_lost_answer: usize,
    /// Events with a row that has no such reason, each with the batches that carried it.
    pub(super) unexplained: Vec<String>,
}

#[derive(Deserialize)]
struct SentRow {
    uid: Option<String>,
}

/// How many letters are in files of dead letters.
pub(super) fn letters(files: &[Vec<u8>]) -> usize {
    files
        .iter()
        .flat_map(|content| content.split(|&byte| byte == b'\n'))
        .filter(|line| !line.is_empty())
        .count()
}

impl Accounts {
    /// Takes what is new out of the simulator's journal.
    pub(super) fn note_calls(&mut self, journal: &Journal) {
        self.looks += 1;
        for entry in journal.take() {
            let upload = entry.service == "ingestion" && entry.target.contains(AUDIT_STREAM);
            // By what the service said, which the worker may not have heard: a refused body carried nothing.
            if upload && entry.served == Some(204) {
                self.note_upload(&entry);
            }
        }
    }

    fn note_upload(&mut self, upload: &Entry) {
        let batch = upload.header("x-ms-client-request-id").unwrap_or_default();
        let carried =
            Carried { batch: batch.to_owned(), look: self.looks, answer_lost: upload.status.is_none() };
        let mut plain = Vec::new();
        if flate2::read::GzDecoder::new(&*upload.body).read_to_end(&mut plain).is_err() {
            return;
        }
        let rows: Vec<SentRow> = serde_json::from_slice(&plain).unwrap_or_default();
        for id in rows.into_iter().filter_map(|row| row.uid) {
            self.carry(id, &carried);
        }
    }

    /// A call that was on its way at a kill can be worked off after the next run's, though it was sent
    /// before: a busy service takes its time.
    fn carry(&mut self, id: String, carried: &Carried) {
        let sent_before = self.in_flight.contains_key(&carried.batch);
        let calls = self.carried.entry(id).or_default();
        self.late += usize::from(sent_before && !calls.is_empty());
        calls.insert(if sent_before { 0 } else { calls.len() }, carried.clone());
    }

    /// The worker was killed or lost its lease, and this is what it had written. Says whether a batch was
    /// on its way.
    pub(super) fn note_doubt(&mut self, checkpoint: Option<&[u8]>) -> bool {
        let checkpoint = checkpoint.and_then(|content| Checkpoint::read(content).ok());
        let in_flight = checkpoint.map(|checkpoint| checkpoint.in_flight).unwrap_or_default();
        let some = !in_flight.is_empty();
        for batch in in_flight {
            self.in_flight.entry(batch.batch).or_insert(self.looks);
        }
        some
    }

    /// How many rows Azure took.
    pub(super) fn rows(&self) -> usize {
        self.carried.values().map(Vec::len).sum()
    }

    /// How many rows were of calls that a later run's overtook.
    pub(super) fn late(&self) -> usize {
        self.late
    }

    /// Compares what was served with what was taken. A row that was taken again has a reason where the
    /// call that carried it before was in doubt.
    pub(super) fn judge(&self, served: &[String]) -> Judged {
        let mut judged = Judged {
            lost: served.iter().filter(|id| !self.carried.contains_key(*id)).cloned().collect(),
            ..Judged::default()
        };
        for (id, calls) in &self.carried {
            for call in calls.split_last().map(|(_, before)| before).unwrap_or_default() {
                if call.answer_lost {
                    judged.by_lost_answer += 1;
                } else if self.in_flight.contains_key(&call.batch) {
                    judged.by_kill += 1;
                } else {
                    // What was in doubt about that time, so that a failure can be understood afterwards.
                    let near = self.in_flight.iter().filter(|(_, look)| look.abs_diff(call.look) < 4);
                    judged.unexplained.push(format!(
                        "{id}: {calls:?}; in doubt about then: {:?}",
                        near.collect::<Vec<_>>()
                    ));
                }
            }
        }
        judged
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use contract::streams::AUDIT_STREAM;
    use flate2::{Compression, write::GzEncoder};
    use simulator::fault::{Action, Fault, Matcher};
    use simulator::journal::Entry;
    use simulator::simulator::{Options, Simulator};

    use super::{Accounts, Carried, Judged};

    /// Every event in each of its batches; an exclamation mark says that the answer was lost.
    fn accounts(carried: &[(&str, &[&str])]) -> Accounts {
        let mut accounts = Accounts::default();
        for &(id, batches) in carried {
            let calls = batches.iter().map(|batch| Carried {
                batch: batch.trim_end_matches('!').to_owned(),
                look: 0,
                answer_lost: batch.ends_with('!'),
            });
            accounts.carried.insert(id.to_owned(), calls.collect());
        }
        accounts
    }

    #[test]
    fn only_a_batch_in_doubt_explains_a_repetition() {
        let mut accounts = accounts(&[("a", &["1", "2"]), ("b", &["2", "3"]), ("d", &["4!", "4"])]);
        let checkpoint = br#"{"version":1,"in_flight":[{"batch":"1","events":7}]}"#;
        assert!(accounts.note_doubt(Some(checkpoint)));
        let judged = accounts.judge(&["a", "b", "c", "d"].map(str::to_owned));
        let Judged { lost, by_kill, by_lost_answer, unexplained } = judged;
        assert_eq!(lost, ["c"]);
        assert_eq!((by_kill, by_lost_answer), (1, 1));
        // Batch 2 was in nobody's doubt.
        assert_eq!(unexplained.len(), 1);
        assert!(unexplained[0].starts_with("b: "), "{unexplained:?}");
    }

    /// A body that was refused, where the worker did not hear the refusal, is not in the table.
    #[tokio::test]
    async fn a_refusal_that_nobody_heard_carried_nothing() {
        let simulator = Simulator::start(Options::default()).await.expect("it starts");
        let upload = Matcher::new("ingestion", "POST", "");
        simulator.faults().add(Fault::once(upload, Action::DropAfter));
        let authority = std::fs::read(simulator.ca_file()).expect("its authority");
        let authority = reqwest::Certificate::from_pem(&authority).expect("a certificate");
        let http =
            reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().expect("a client");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(br#"[{"uid":"a"}]"#).expect("written");
        let path = format!("dataCollectionRules/rule/streams/{AUDIT_STREAM}");
        let target = simulator.state().endpoints().ingestion.join(&path).expect("an address");
        // Without a token: 401.
        let call = http.post(target).body(packed.finish().expect("packed"));
        call.send().await.expect_err("the answer is lost");

        let entry = simulator.journal().entries().pop().expect("noted");
        assert_eq!((entry.served.is_some_and(|status| status >= 400), entry.status), (true, None));
        let mut accounts = Accounts::default();
        accounts.note_calls(simulator.journal());
        assert_eq!(accounts.rows(), 0);
        // With an acceptance in its place it counts, and its answer is known to be lost.
        accounts.note_upload(&Entry { served: Some(204), ..entry });
        assert_eq!(accounts.carried["a"].iter().map(|call| call.answer_lost).collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn one_doubt_explains_one_row() {
        let mut accounts = accounts(&[("a", &["1", "2", "3"])]);
        assert!(accounts.note_doubt(Some(br#"{"version":1,"in_flight":[{"batch":"1","events":7}]}"#)));
        let judged = accounts.judge(&["a".to_owned()]);
        assert_eq!((judged.by_kill, judged.unexplained.len()), (1, 1));
        assert_eq!(accounts.rows(), 3);
    }

    #[test]
    fn what_is_worked_off_late_was_sent_before() {
        let mut accounts = accounts(&[("a", &["2"])]);
        assert!(accounts.note_doubt(Some(br#"{"version":1,"in_flight":[{"batch":"1","events":7}]}"#)));
        let carried = |batch: &str| Carried { batch: batch.to_owned(), look: 1, answer_lost: false };
        accounts.carry("a".to_owned(), &carried("1"));
        assert_eq!(accounts.late(), 1);
        let judged = accounts.judge(&["a".to_owned()]);
        assert_eq!((judged.by_kill, judged.unexplained.len()), (1, 0));
        // It does not explain one that is sent again after that.
        accounts.carry("a".to_owned(), &carried("3"));
        let judged = accounts.judge(&["a".to_owned()]);
        assert_eq!((judged.by_kill, judged.unexplained.len()), (1, 1));
    }
}
