//! The next page, asked for before the events of the one before are worked on: the time that the answer
//! takes on its way is used.

use std::fmt;
use std::task::Poll;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::PageRequest;
use super::client::Mimecast;
use super::error::PollError;
use super::page::PageStream;
use crate::world::Deadline;

/// A page that was asked for. Dropping it gives the call up.
pub(super) enum Ahead<'a> {
    Asked(LocalBoxFuture<'a, Result<PageStream, PollError>>),
    Answered(Box<Result<PageStream, PollError>>),
}

impl<'a> Ahead<'a> {
    /// Sends the request and does not wait for its answer.
    pub(super) async fn ask(mimecast: &'a Mimecast, request: PageRequest, deadline: Deadline) -> Self {
        let mut asked = async move { mimecast.open_page(&request, deadline).await }.boxed_local();
        match futures::poll!(&mut asked) {
            Poll::Ready(page) => Self::Answered(Box::new(page)),
            Poll::Pending => {
                // The connection's own task writes it, on this same thread: it needs a turn.
                tokio::task::yield_now().await;
                Self::Asked(asked)
            }
        }
    }

    /// The page, when the head of its answer is there.
    ///
    /// # Errors
    /// As [`Mimecast::open_page`].
    pub(super) async fn page(self) -> Result<PageStream, PollError> {
        match self {
            Self::Asked(asked) => asked.await,
            Self::Answered(page) => *page,
        }
    }
}

impl fmt::Debug for Ahead<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Ahead")
    }
}
