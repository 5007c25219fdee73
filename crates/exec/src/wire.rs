//! Frames on the control socket: a length, then JSON; the first frame may carry descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, send, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};

/// No request is larger; the kernel's limit for arguments and environment is far below.
const MAX_FRAME: usize = 64 << 20;

/// Sends one frame, with at most one descriptor.
pub(crate) fn write<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let mut bytes = Vec::with_capacity(body.len() + 4);
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&body);

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let mut sent = rustix::io::retry_on_intr(|| {
        sendmsg(
            socket,
            &[IoSlice::new(&bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })?;
    while sent < bytes.len() {
        sent += rustix::io::retry_on_intr(|| send(socket, &bytes[sent..], SendFlags::NOSIGNAL))?;
    }
    Ok(())
}

/// Receives the first frame and the descriptor that came with it. Blocks.
pub(crate) fn read_first<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
) -> io::Result<(T, Option<OwnedFd>)> {
    let mut header = [0_u8; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let got = rustix::io::retry_on_intr(|| {
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut header)],
            &mut control,
            flags,
        )
    })?;
    if got.bytes != header.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let length = u32::from_le_bytes(header) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::other("the frame is too long"));
    }
    let mut body = vec![0_u8; length];
    let mut filled = 0;
    while filled < length {
        match rustix::io::retry_on_intr(|| {
            recv(socket, &mut body[filled..], RecvFlags::empty()).map(|(n, _)| n)
        })? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
    }
    Ok((serde_json::from_slice(&body)?, descriptor))
}

/// The kernel takes no more in one message.
pub(crate) const MAX_DESCRIPTORS: usize = 250;

/// Sends descriptors, at most [`MAX_DESCRIPTORS`]. They live on in the socket when the sender is gone.
pub(crate) fn send_descriptors(
    socket: BorrowedFd<'_>,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(&[0])], &mut control, flags))?;
    Ok(())
}

/// Receives the descriptors of one message, without blocking; none when there is no message.
pub(crate) fn receive_descriptors(socket: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = rustix::io::retry_on_intr(|| {
        let mut buffers = [IoSliceMut::new(&mut byte)];
        recvmsg(socket, &mut buffers, &mut control, flags)
    });
    match received {
        Ok(_) => {}
        Err(rustix::io::Errno::AGAIN) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    }
    let messages = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(messages.flatten().collect())
}

/// Cuts frames from bytes that arrive in pieces.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    pending: Vec<u8>,
}

/// What one read of a non-blocking socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Some bytes, or none for now.
    Open,
    /// The other side is gone.
    Closed,
}

impl FrameReader {
    /// Reads what is there, without blocking.
    pub(crate) fn fill(&mut self, socket: impl AsFd) -> io::Result<Received> {
        let mut buffer = [0_u8; 4096];
        loop {
            match recv(&socket, &mut buffer, RecvFlags::DONTWAIT) {
                // A reset: the launcher was killed with bytes of ours unread.
                Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => return Ok(Received::Closed),
                Ok((n, _)) => self.pending.extend_from_slice(&buffer[..n]),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(Received::Open),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Returns the next complete frame.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(header) = self.pending.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_FRAME {
            return Err(io::Error::other("the frame is too long"));
        }
        let Some(body) = self.pending.get(4..4 + length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.pending.drain(..4 + length);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn frames_and_a_descriptor_arrive() {
        let (left, right) = UnixStream::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let long = "x".repeat(100_000);
        write(left.as_fd(), &long, Some(null.as_fd())).unwrap();
        write(left.as_fd(), &7, None).unwrap();
        let (got, descriptor): (String, _) = read_first(right.as_fd()).unwrap();
        assert_eq!(got, long);
        let stat = rustix::fs::fstat(descriptor.unwrap()).unwrap();
        assert_eq!(rustix::fs::major(stat.st_rdev), 1);

        let mut reader = FrameReader::default();
        assert_eq!(reader.fill(&right).unwrap(), Received::Open);
        assert_eq!(reader.next::<u32>().unwrap(), Some(7));
        assert_eq!(reader.next::<u32>().unwrap(), None);
        drop(left);
        assert_eq!(reader.fill(&right).unwrap(), Received::Closed);
    }

    #[test]
    fn descriptors_outlive_their_sender() {
        let (left, right) = UnixStream::pair().unwrap();
        assert!(receive_descriptors(right.as_fd()).unwrap().is_empty());
        let null = std::fs::File::open("/dev/null").unwrap();
        send_descriptors(left.as_fd(), &vec![null.as_fd(); MAX_DESCRIPTORS]).unwrap();
        drop((left, null));
        let got = receive_descriptors(right.as_fd()).unwrap();
        assert_eq!(got.len(), MAX_DESCRIPTORS);
        let stat = rustix::fs::fstat(&got[MAX_DESCRIPTORS - 1]).unwrap();
        assert_eq!(rustix::fs::minor(stat.st_rdev), 3);
        assert!(receive_descriptors(right.as_fd()).unwrap().is_empty());
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let mut reader = FrameReader {
            pending: vec![255; 8],
        };
        assert!(reader.next::<u32>().is_err());
    }
}
