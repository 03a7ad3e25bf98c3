//! A body to Azure: accepted, or an error that says whether another attempt is worth it.
//!
//! A batch that Azure finds too large or wrong is divided until the records that are to blame stand
//! alone; those are given back to be set aside, and the rest is delivered.

pub mod client;
pub mod folder;
pub mod outcome;

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

/// So many records of a run may be set aside before Azure has accepted one in it. More are not the
/// records' fault, and on an installation that never delivered anything no refusal is.
const REFUSALS_WITHOUT_WITNESS: usize = 3;

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
        let sent = send(client, world, stream, &whole, standing, deadline).await;
        match sent {
            Ok(()) => {
                witness.accepted = true;
                let everything = 0..batch.len();
                Outcome { accepted: vec![everything], ..Outcome::default() }
            }
            Err(error) if error.cause.fault_of_content().is_some() => {
                let division = Division { client, world, stream, id: batch.id, standing, deadline };
                division.divide(batch, error, witness).await
            }
            Err(error) => Outcome { error: Some(error), ..Outcome::default() },
        }
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
                send(client, world, stream, &body, standing, deadline).await
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
        Err(source) => Outcome { error: Some(folder_error(source)), ..Outcome::default() },
    }
}

async fn send(
    client: &IngestClient,
    world: &World,
    stream: &str,
    body: &Body,
    standing: Standing,
    deadline: Deadline,
) -> Result<(), Exhausted<IngestError>> {
    retry(&RETRIES, deadline, world, async |attempt| {
        match client.post(stream, body.id, body.compressed.clone(), standing).await {
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
            if !witness.accepted && outcome.refused.len() > self.tolerated(witness) {
                break;
            }
            let Some(next) = parts.pop() else { break };
            part = next;
            refusal = self.send(&rows, part.clone()).await.err();
        }
        self.judge(outcome, witness).await
    }

    /// How many records more may be refused before one is accepted.
    fn tolerated(&self, witness: &Witness) -> usize {
        match self.standing {
            Standing::Settling => 0,
            Standing::Settled => REFUSALS_WITHOUT_WITNESS.saturating_sub(witness.refused),
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
        let error = if refused.len() > self.tolerated(witness) {
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
        let body = Body { id: self.id, compressed, plain_bytes };
        send(self.client, self.world, self.stream, &body, self.standing, self.deadline).await
    }
}
