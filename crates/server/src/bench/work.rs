//! What is driven: one request after the other, whatever it is sent to.

use rand::rngs::SmallRng;

/// How a request ended, when it was not done.
#[derive(Debug)]
pub enum Miss {
    /// Surely without effect.
    Failed(String),
    /// Perhaps applied.
    Unknown(String),
}

impl Miss {
    /// What it says.
    pub fn text(&self) -> &str {
        match self {
            Miss::Failed(text) | Miss::Unknown(text) => text,
        }
    }
}

/// A request that was sent.
#[derive(Debug)]
pub struct Request {
    /// Which of [`Work::kinds`].
    pub kind: usize,
    /// Bytes of content that it moved, or how it ended.
    pub result: Result<u64, Miss>,
}

/// What clients do over and over.
#[async_trait::async_trait]
pub trait Work: Send + Sync {
    /// The kinds of its requests, as reports name them.
    fn kinds(&self) -> &'static [&'static str];

    /// The kind, if any, whose requests ended as they should and yet achieved nothing: told apart, and not counted.
    fn in_vain(&self) -> Option<usize> {
        None
    }

    /// Puts there what the requests need, before anything is measured.
    async fn prepare(&self) -> Result<(), Miss>;

    /// Sends one request for this client, of which there are so many, counted from 0.
    async fn request(&self, client: usize, random: &mut SmallRng) -> Request;
}
