use acetate_graph::VertexId;
use tokio::sync::{mpsc, oneshot};

/// How many requests may wait for the scheduler before their senders do.
pub(crate) const QUEUE: usize = 64;

/// The line from a body (an exporter) to the scheduler that runs beside it.
#[derive(Debug)]
pub struct Session<O> {
    requests: mpsc::Sender<Request<O>>,
}

impl<O> Clone for Session<O> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
        }
    }
}

/// The scheduler has stopped; why stands in what [`scope`](crate::scope) returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("build has stopped")]
pub struct Stopped;

#[derive(Debug)]
pub(crate) struct Request<O> {
    pub(crate) lost: Option<VertexId>,
    pub(crate) targets: Vec<VertexId>,
    pub(crate) reply: oneshot::Sender<Vec<O>>,
}

impl<O> Session<O> {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request<O>>) {
        let (requests, receiver) = mpsc::channel(QUEUE);
        (Self { requests }, receiver)
    }

    /// Asks for the results of `targets`, in their order; waits until all exist.
    ///
    /// Several demands may wait at the same time. What has a result already is not made again.
    /// Demanding everything that is wanted at once is better than piece by piece: a forced vertex
    /// below a later target comes too late for results that were taken before.
    pub async fn demand(&self, targets: &[VertexId]) -> Result<Vec<O>, Stopped> {
        self.request(None, targets.to_vec()).await
    }

    /// Says that the bytes behind the result of `vertex` are gone; waits for a new result.
    ///
    /// Its other candidates are tried, then it is run again. Dependents that have results keep
    /// them.
    pub async fn lost(&self, vertex: VertexId) -> Result<O, Stopped> {
        let outputs = self.request(Some(vertex), vec![vertex]).await?;
        outputs.into_iter().next().ok_or(Stopped)
    }

    async fn request(
        &self,
        lost: Option<VertexId>,
        targets: Vec<VertexId>,
    ) -> Result<Vec<O>, Stopped> {
        let (reply, answer) = oneshot::channel();
        let request = Request {
            lost,
            targets,
            reply,
        };
        self.requests.send(request).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}
