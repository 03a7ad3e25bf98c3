//! A body to Azure: accepted, or an error that says whether another attempt is worth it.
//!
//! A batch that Azure finds too large or wrong is divided until the records that are to blame stand
//! alone; those are given back to be set aside, and the rest is delivered.

pub mod client;
pub mod folder;
pub mod outcome;

use std::cell::Cell;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::batch::{Batch, Rows};
use crate::retry::{Exhausted, RetryPolicy, retry};
use crate::world::{Deadline, World};
use client::IngestClient;
use folder::FolderSink;
pub use outcome::{Answer, IngestError, Standing};

/// Waits double from one second to a minute; ten attempts are some minutes, or five with the waits of
/// an installation that is settling. What lasts longer is for the next run.
const RETRIES: RetryPolicy =
    RetryPolicy { attempts: 10, first_wait: Duration::from_secs(1), longest_wait: Duration::from_secs(60) };

/// A connection that breaks while a body larger than this is on its way may have been cut because of
/// its size: users report that Azure hangs up instead of answering 413.
const CUT_FOR_SIZE_BYTES: usize = 500_000;

/// So many records of a run may be set aside before Azure has accepted one in it, and only where it
/// takes an empty array. More are not the records' fault, unless others of their batch are accepted.
const REFUSALS_WITHOUT_WITNESS: usize = 3;

/// So many single records from all over a batch are tried before it is believed that none is accepted.
const SAMPLES: usize = 16;

/// What this run has seen of Azure's judgement: a refusal says something against a record only where
/// others are accepted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Witness {
    /// Azure has accepted a record in this run.
    pub accepted: bool,
    /// Records that were refused before that.
    pub refused: usize,
}

/// Where rows go.
#[derive(Debug)]
pub enum Delivery {
    /// The Logs Ingestion API.
    Azure(Box<IngestClient>),
    /// Files in a folder.
    Folder(FolderSink),
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows that were accepted.
    pub accepted: Vec<Range<usize>>,
    /// Rows that Azure will never accept.
    pub refused: Vec<Refused>,
    /// Why the rest was not delivered.
    pub error: Option<Exhausted<IngestError>>,
    /// Whether Azure may hold rows of the rest all the same: an answer was lost, or left that open.
    pub in_doubt: bool,
}

/// A row that Azure will never accept.
#[derive(Debug)]
pub struct Refused {
    /// Which row of the batch.
    pub index: usize,
    /// Why.
    pub answer: Answer,
    /// The row.
    pub row: Vec<u8>,
}

/// What is sent: a compressed body and its size before compression.
struct Body {
    id: Uuid,
    compressed: Bytes,
    plain_bytes: usize,
}

impl Delivery {
    /// Delivers a batch to a stream.
    pub async fn deliver(
        &self,
        world: &World,
        stream: &str,
        batch: &Batch,
        standing: Standing,
        witness: &mut Witness,
        deadline: Deadline,
    ) -> Outcome {
        let client = match self {
            Self::Azure(client) => client,
            Self::Folder(sink) => return to_folder(sink, stream, batch),
        };
        let whole = Body { id: batch.id, compressed: batch.body.clone(), plain_bytes: batch.plain_bytes };
        let in_doubt = Cell::new(false);
        let sent = send(client, world, stream, &whole, standing, deadline, &in_doubt).await;
        let outcome = match sent {
            Ok(()) => {
                witness.accepted = true;
                let everything = 0..batch.len();
                Outcome { accepted: vec![everything], ..Outcome::default() }
            }
            Err(error) if error.cause.fault_of_content().is_some() => {
                let in_doubt = &in_doubt;
                let division = Division { client, world, stream, id: batch.id, standing, deadline, in_doubt };
                division.divide(batch, error, witness).await
            }
            Err(error) => Outcome { error: Some(error), ..Outcome::default() },
        };
        Outcome { in_doubt: outcome.error.is_some() && in_doubt.get(), ..outcome }
    }

    /// Delivers one row by itself, such as a health row.
    ///
    /// # Errors
    /// When it is not accepted within the attempts and the deadline.
    pub async fn deliver_row(
        &self,
        world: &World,
        stream: &str,
        row: &[u8],
        standing: Standing,
        deadline: Deadline,
    ) -> Result<(), Exhausted<IngestError>> {
        match self {
            Self::Azure(client) => {
                let body = Body {
                    id: world.identity(),
                    compressed: crate::batch::compress_array([row]),
                    plain_bytes: row.len() + 2,
                };
                send(client, world, stream, &body, standing, deadline, &Cell::new(false)).await
            }
            Self::Folder(sink) => sink.append(stream, std::iter::once(row)).map_err(folder_error),
        }
    }
}

fn folder_error(source: std::io::Error) -> Exhausted<IngestError> {
    Exhausted { attempts: 1, cause: IngestError::Folder { source }, ended: crate::retry::Ended::Permanent }
}

fn to_folder(sink: &FolderSink, stream: &str, batch: &Batch) -> Outcome {
    let written =
        batch.rows().and_then(|rows| sink.append(stream, (0..rows.len()).map(|index| rows.row(index))));
    match written {
        Ok(()) => {
            let everything = 0..batch.len();
            Outcome { accepted: vec![everything], ..Outcome::default() }
        }
        // A part of it may be written.
        Err(source) => Outcome { error: Some(folder_error(source)), in_doubt: true, ..Outcome::default() },
    }
}

/// Sends with repeats. `in_doubt` is set where an attempt failed that Azure may have taken all the same.
async fn send(
    client: &IngestClient,
    world: &World,
    stream: &str,
    body: &Body,
    standing: Standing,
    deadline: Deadline,
    in_doubt: &Cell<bool>,
) -> Result<(), Exhausted<IngestError>> {
    retry(&RETRIES, deadline, world, async |attempt| {
        let posted = client.post(stream, body.id, body.compressed.clone(), standing).await;
        in_doubt.set(in_doubt.get() || posted.as_ref().is_err_and(IngestError::leaves_open));
        match posted {
            // BR-081
            Err(IngestError::Unreachable { source })
                if attempt > 1 && body.plain_bytes > CUT_FOR_SIZE_BYTES && !source.is_connect() =>
            {
                let message = "the connection was cut twice while the body was on its way".to_owned();
                Err(IngestError::TooLarge { answer: Answer { message, ..Answer::default() } })
            }
            done => done,
        }
    })
    .await
}

/// A batch that is being divided.
struct Division<'a> {
    client: &'a IngestClient,
    world: &'a World,
    stream: &'a str,
    id: Uuid,
    standing: Standing,
    deadline: Deadline,
    in_doubt: &'a Cell<bool>,
}

impl Division<'_> {
    /// Halves what is refused until it is accepted or stands alone. A stack, no recursion: it ends
    /// after at most three times as many calls as there are rows. A record that stands alone is asked
    /// about once more before it is given up: an answer can be wrong, and setting aside is final.
    // BR-006, BR-046, BR-069
    async fn divide(&self, batch: &Batch, first: Exhausted<IngestError>, witness: &mut Witness) -> Outcome {
        let mut outcome = Outcome::default();
        let rows = match batch.rows() {
            Ok(rows) => rows,
            Err(source) => return Outcome { error: Some(folder_error(source)), ..outcome },
        };
        let mut parts = Vec::new();
        let mut asked_again = None;
        let mut refusal = Some(first);
        let mut part = 0..rows.len();
        loop {
            match refusal.take() {
                None => {
                    witness.accepted = true;
                    outcome.accepted.push(part);
                }
                Some(error) => match error.cause.fault_of_content() {
                    None => {
                        outcome.error = Some(error);
                        break;
                    }
                    Some(_) if part.len() <= 1 && asked_again != Some(part.start) => {
                        asked_again = Some(part.start);
                        parts.push(part);
                    }
                    Some(answer) if part.len() <= 1 => {
                        let (index, row) = (part.start, rows.row(part.start).to_vec());
                        outcome.refused.push(Refused { index, answer: answer.clone(), row });
                    }
                    Some(_) => {
                        let middle = part.start + part.len() / 2;
                        parts.push(middle..part.end);
                        parts.push(part.start..middle);
                    }
                },
            }
            if !witness.accepted && outcome.refused.len() > tolerated(witness) {
                self.look_for_witness(&rows, &mut parts, &mut outcome, witness).await;
                if !witness.accepted {
                    break;
                }
            }
            let Some(next) = parts.pop() else { break };
            part = next;
            refusal = self.send(&rows, part.clone()).await.err();
        }
        self.judge(outcome, witness).await
    }

    /// Whether Azure takes anything of what is left: bad records can stand together at the head of a
    /// batch. Each part as a whole, the largest first; then single records from all over them. What is
    /// accepted leaves `parts`.
    async fn look_for_witness(
        &self,
        rows: &Rows,
        parts: &mut Vec<Range<usize>>,
        outcome: &mut Outcome,
        witness: &mut Witness,
    ) {
        let mut tries = parts.clone();
        tries.sort_by_key(|part| std::cmp::Reverse(part.len()));
        let left: Vec<usize> = parts.iter().flat_map(Clone::clone).collect();
        let samples = left.iter().step_by(left.len().div_ceil(SAMPLES).max(1));
        tries.extend(samples.map(|&index| index..index + 1));
        for tried in tries {
            match self.send(rows, tried.clone()).await {
                Ok(()) => {
                    witness.accepted = true;
                    *parts = parts.iter().flat_map(|part| without(part, &tried)).collect();
                    outcome.accepted.push(tried);
                    return;
                }
                Err(error) if error.cause.fault_of_content().is_some() => {}
                Err(error) => {
                    outcome.error = Some(error);
                    return;
                }
            }
        }
    }

    /// Refused records are set aside only where the same stream takes others. Where no record has
    /// proved that in this run, few are tolerated, and an empty array must be taken.
    async fn judge(&self, mut outcome: Outcome, witness: &mut Witness) -> Outcome {
        if witness.accepted {
            return outcome;
        }
        let refused = std::mem::take(&mut outcome.refused);
        let Some(last) = refused.last().filter(|_| outcome.error.is_none()) else { return outcome };
        let error = if refused.len() > tolerated(witness) {
            let cause =
                IngestError::EverythingRefused { refused: refused.len(), answer: last.answer.clone() };
            Some(Exhausted { attempts: 1, cause, ended: crate::retry::Ended::Permanent })
        } else {
            self.send_body(crate::batch::compress_array([]), 2).await.err()
        };
        match error {
            None => {
                witness.refused += refused.len();
                Outcome { refused, ..outcome }
            }
            error => Outcome { error, ..outcome },
        }
    }

    async fn send(&self, rows: &Rows, part: Range<usize>) -> Result<(), Exhausted<IngestError>> {
        self.send_body(rows.body(part.clone()), rows.plain_bytes(part)).await
    }

    /// Every part goes under the batch's own identity, which is the name in the journal.
    async fn send_body(&self, compressed: Bytes, plain_bytes: usize) -> Result<(), Exhausted<IngestError>> {
        let Self { client, world, stream, id, standing, deadline, in_doubt } = *self;
        let body = Body { id, compressed, plain_bytes };
        send(client, world, stream, &body, standing, deadline, in_doubt).await
    }
}

/// How many records more may be refused before one is accepted.
fn tolerated(witness: &Witness) -> usize {
    REFUSALS_WITHOUT_WITNESS.saturating_sub(witness.refused)
}

/// What is left of a part that holds all of `taken` or nothing of it.
fn without(part: &Range<usize>, taken: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = taken.start.clamp(part.start, part.end);
    let start = taken.end.clamp(part.start, part.end);
    [start..part.end, part.start..end].into_iter().filter(|left| !left.is_empty())
}
