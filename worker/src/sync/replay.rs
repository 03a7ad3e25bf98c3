//! Dead letters, sent again: what Azure takes now leaves the container, the rest stays.

use std::time::Duration;

use contract::streams::AUDIT_STREAM;
use serde_json::json;

use super::{Account, RunError};
use crate::batch::{Batch, Batcher, Mark, Pushed};
use crate::dead_letter::{DeadLetter, DeadLetterError};
use crate::ingest::{IngestError, Standing, Witness};
use crate::report::{Failure, Level, Report, RunResult, Stage, chain};
use crate::retry::Exhausted;
use crate::world::Deadline;

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error("could not send the dead letters again")]
    DeadLetters(#[from] DeadLetterError),
    #[error("could not deliver dead letters")]
    Ingest(#[source] Box<Exhausted<IngestError>>),
}

impl ReplayError {
    pub(super) fn failure(&self) -> Failure {
        let code = match self {
            Self::DeadLetters(error) => error.code(),
            Self::Ingest(error) => error.cause.code(),
        };
        Failure::new(Stage::Ingest, code, self)
    }
}

impl Account {
    /// Sends every letter that is a row again, file by file.
    pub(super) async fn replay(&self, deadline: Deadline, report: &mut Report) -> Result<(), RunError> {
        // Nothing new is set aside: each letter is tried by itself if need be, and stays where it is refused.
        let mut witness = Witness { accepted: true, refused: 0 };
        for name in self.dead_letters.list().await.map_err(ReplayError::from)? {
            if deadline.passed(&self.world) {
                report.result = RunResult::Partial;
                report.notes.push("the run's budget is used up; the letters that are left stay".to_owned());
                return Ok(());
            }
            let letters = match self.dead_letters.read(&name).await {
                Ok(letters) => letters,
                Err(error) if error.of_the_file() => {
                    let message = chain(&error);
                    self.log.event(Level::Warning, "dead_letters_skipped", json!({ "message": message }));
                    report.notes.push(message);
                    continue;
                }
                Err(error) => return Err(ReplayError::from(error).into()),
            };
            self.replay_file(&name, letters, &mut witness, deadline, report).await?;
        }
        Ok(())
    }

    async fn replay_file(
        &self,
        name: &str,
        letters: Vec<DeadLetter>,
        witness: &mut Witness,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<(), RunError> {
        report.read += letters.len() as u64;
        let mut kept = Vec::new();
        let mut sent: Vec<Option<DeadLetter>> = Vec::new();
        let mut batches = Vec::new();
        let mut batcher = Batcher::new();
        for letter in letters {
            let Some(row) = &letter.row else {
                kept.push(letter);
                continue;
            };
            let mark = Mark { hash: sent.len() as u64, event_time: None };
            let pushed = batcher.push(
                || self.world.identity(),
                |out| {
                    out.extend_from_slice(row.get().as_bytes());
                    mark
                },
            );
            match pushed {
                Pushed::Kept => {}
                Pushed::Full(batch) => batches.push(batch),
                Pushed::TooLarge(_) => {
                    kept.push(letter);
                    continue;
                }
            }
            sent.push(Some(letter));
        }
        batches.extend(batcher.seal(|| self.world.identity()));
        let mut failure = None;
        for batch in &batches {
            // There is no journal: where this run is killed between acceptance and removal, the log names
            // what comes again with the file.
            let (id, events) = (batch.id.to_string(), batch.len());
            let fields = json!({ "run": report.run_id, "file": name, "batch": id, "events": events });
            self.log.event(Level::Info, "replaying", fields);
            failure = self.replay_batch(batch, &mut sent, witness, deadline, report).await;
            if failure.is_some() {
                break;
            }
        }
        // What was not accepted stays; the new file is safe before the old one goes.
        kept.extend(sent.into_iter().flatten());
        let new = self.dead_letters.keep(&kept, self.world.now()).await.map_err(ReplayError::from)?;
        if new.as_deref() != Some(name) {
            self.dead_letters.remove(name).await.map_err(ReplayError::from)?;
        }
        report.dead_lettered += kept.len() as u64;
        failure.map_or(Ok(()), |failure| Err(ReplayError::Ingest(Box::new(failure)).into()))
    }

    /// Takes the letters that were accepted out of `sent`.
    async fn replay_batch(
        &self,
        batch: &Batch,
        sent: &mut [Option<DeadLetter>],
        witness: &mut Witness,
        deadline: Deadline,
        report: &mut Report,
    ) -> Option<Exhausted<IngestError>> {
        let deadline = deadline.earlier(Deadline::after(&self.world, Duration::from_secs(600)));
        let delivery = &self.delivery;
        let outcome =
            delivery.deliver(&self.world, AUDIT_STREAM, batch, Standing::Settled, witness, deadline).await;
        for mark in
            outcome.accepted.iter().flat_map(|range| batch.marks.get(range.clone()).unwrap_or_default())
        {
            if let Some(letter) = usize::try_from(mark.hash).ok().and_then(|index| sent.get_mut(index)) {
                *letter = None;
                report.delivered += 1;
            }
        }
        if let Some(last) = outcome.refused.last() {
            let (letters, answer) = (outcome.refused.len(), &last.answer);
            report.notes.push(format!("{letters} letters are still refused and stay; the last: {answer}"));
        }
        outcome.error
    }
}
