//! Frames, and reading them.
//!
//! ```text
//! u32 length of the rest | u8 kind | u64 call id | u16 method or code | body
//! ```
//! Numbers are big-endian. The rest has at most `limits::FRAME_BYTES_MAX`
//! bytes; a longer one, or a kind that is not known, ends the connection.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use types::limits::FRAME_BYTES_MAX;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 15;
/// Of which these are counted by the length.
const COUNTED_BYTES: usize = HEADER_BYTES - 4;
/// Bytes that a body may have.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - COUNTED_BYTES;
/// Read from the socket at once; bodies beyond it get memory of their own.
const READ_BYTES: usize = 64 * 1024;

/// A message's bytes: one part, or a head and a payload that are written one
/// after the other without being copied together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// First.
    pub head: Bytes,
    /// Second; may be empty.
    pub payload: Bytes,
}

impl Body {
    /// Bytes of both parts.
    pub fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for Body {
    fn from(head: Bytes) -> Body {
        Body { head, payload: Bytes::new() }
    }
}

impl From<Vec<u8>> for Body {
    fn from(head: Vec<u8>) -> Body {
        Bytes::from(head).into()
    }
}

impl From<(Bytes, Bytes)> for Body {
    fn from((head, payload): (Bytes, Bytes)) -> Body {
        Body { head, payload }
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client to server: wants an answer to its id.
    Call = 1,
    /// Client to server: wants none.
    Notify = 2,
    /// Server to client: the handler's reply.
    Reply = 3,
    /// Server to client: the handler's status, its code in the header.
    Refusal = 4,
    /// Either way: I live.
    Heartbeat = 5,
}

impl Kind {
    fn from_wire(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Call,
            2 => Kind::Notify,
            3 => Kind::Reply,
            4 => Kind::Refusal,
            5 => Kind::Heartbeat,
            _ => return None,
        })
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Which call it belongs to; 0 where there is none.
    pub id: u64,
    /// Method of a call or notification, code of a refusal.
    pub code: u16,
    /// The rest. What was read is all in the head.
    pub body: Body,
}

impl Frame {
    /// The frame that says nothing but that we live.
    pub const HEARTBEAT: Frame =
        Frame { kind: Kind::Heartbeat, id: 0, code: 0, body: Body { head: Bytes::new(), payload: Bytes::new() } };

    /// Bytes on the wire.
    pub fn wire_len(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// Adds the header to `out`. The body must be within [`BODY_BYTES_MAX`].
    pub fn put_header(&self, out: &mut BytesMut) {
        debug_assert!(self.body.len() <= BODY_BYTES_MAX);
        out.put_u32((COUNTED_BYTES + self.body.len()) as u32);
        out.put_u8(self.kind as u8);
        out.put_u64(self.id);
        out.put_u16(self.code);
    }
}

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It ended within a frame.
    #[error("the stream ended within a frame")]
    Torn,
    /// The length cannot be.
    #[error("a frame of {0} bytes; {COUNTED_BYTES} to {FRAME_BYTES_MAX} are allowed")]
    Length(usize),
    /// The kind is not known, or not expected from this side.
    #[error("a frame of kind {0} is not expected here")]
    Kind(u8),
}

/// Reads frames from a stream.
pub struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    frame_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        FrameReader::bounded(stream, BODY_BYTES_MAX)
    }

    /// The same for bodies of at most that many bytes.
    pub fn bounded(stream: R, body_bytes_max: usize) -> Self {
        let frame_bytes_max = FRAME_BYTES_MAX.min(body_bytes_max + COUNTED_BYTES);
        FrameReader { stream, buffer: BytesMut::with_capacity(READ_BYTES), frame_bytes_max }
    }

    /// The next frame; none at the end of the stream. Small bodies share the
    /// memory that was read at once with them (64 KiB): copy what is kept for long.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        while self.buffer.len() < HEADER_BYTES {
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Torn) };
            }
        }
        let counted = self.buffer.get_u32() as usize;
        if !(COUNTED_BYTES..=self.frame_bytes_max).contains(&counted) {
            return Err(FrameError::Length(counted));
        }
        let kind = self.buffer.get_u8();
        let kind = Kind::from_wire(kind).ok_or(FrameError::Kind(kind))?;
        let id = self.buffer.get_u64();
        let code = self.buffer.get_u16();
        let head = self.body(counted - COUNTED_BYTES).await?;
        Ok(Some(Frame { kind, id, code, body: head.into() }))
    }

    /// Reads into the buffer, which is replaced only when it is nearly used up:
    /// bodies that are still held keep the old one alive.
    async fn fill(&mut self) -> std::io::Result<usize> {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 8 {
            self.buffer.reserve(READ_BYTES);
        }
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn body(&mut self, len: usize) -> Result<Bytes, FrameError> {
        if len <= READ_BYTES {
            while self.buffer.len() < len {
                if self.fill().await? == 0 {
                    return Err(FrameError::Torn);
                }
            }
            return Ok(self.buffer.split_to(len).freeze());
        }
        let mut body = BytesMut::with_capacity(len);
        body.extend_from_slice(&self.buffer.split_to(self.buffer.len().min(len)));
        while body.len() < len {
            let missing = len - body.len();
            if self.stream.read_buf(&mut (&mut body).limit(missing)).await? == 0 {
                return Err(FrameError::Torn);
            }
        }
        Ok(body.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use proptest::prelude::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::ReadBuf;

    /// Gives its bytes in pieces of the sizes given, over and over.
    struct Trickle<'a> {
        bytes: &'a [u8],
        sizes: Vec<usize>,
        turn: usize,
    }

    impl AsyncRead for Trickle<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            out: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let wish = self.sizes[self.turn % self.sizes.len()];
            self.turn += 1;
            let (now, later) = self.bytes.split_at(wish.min(self.bytes.len()).min(out.remaining()));
            out.put_slice(now);
            self.bytes = later;
            Poll::Ready(Ok(()))
        }
    }

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let body = prop_oneof![
            8 => proptest::collection::vec(any::<u8>(), 0..100),
            1 => (READ_BYTES - 30..READ_BYTES * 3, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        ];
        let frame = (1u8..=5, any::<u64>(), any::<u16>(), body).prop_map(|(kind, id, code, body)| Frame {
            kind: Kind::from_wire(kind).unwrap(),
            id,
            code,
            body: body.into(),
        });
        proptest::collection::vec(frame, 0..20)
    }

    fn wire(frames: &[Frame]) -> BytesMut {
        let mut out = BytesMut::new();
        for frame in frames {
            frame.put_header(&mut out);
            out.extend_from_slice(&frame.body.head);
            out.extend_from_slice(&frame.body.payload);
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn frames_read_back_however_the_stream_is_cut(
            frames in frames(),
            sizes in proptest::collection::vec(1usize..200_000, 1..8),
        ) {
            let bytes = wire(&frames);
            let mut reader = FrameReader::new(Trickle { bytes: &bytes, sizes, turn: 0 });
            for frame in frames {
                prop_assert_eq!(block_on(reader.next()).unwrap(), Some(frame));
            }
            prop_assert!(block_on(reader.next()).unwrap().is_none());
        }

        #[test]
        fn strange_bytes_end_in_an_error(bytes: Vec<u8>) {
            let mut reader = FrameReader::new(&bytes[..]);
            while let Ok(Some(_)) = block_on(reader.next()) {}
        }
    }

    #[test]
    fn lengths_are_checked_before_anything_is_kept() {
        for (length, fine) in
            [(0, false), (10, false), (11, true), (FRAME_BYTES_MAX + 1, false), (u32::MAX as usize, false)]
        {
            let mut bytes = (length as u32).to_be_bytes().to_vec();
            bytes.extend_from_slice(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            let read = block_on(FrameReader::new(&bytes[..]).next());
            assert_eq!(read.is_ok(), fine, "{length}: {read:?}");
        }
        let torn = block_on(FrameReader::new(&[0, 0, 0, 11, 5][..]).next());
        assert!(matches!(torn, Err(FrameError::Torn)));
    }
}
