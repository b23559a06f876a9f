//! The ends of pipes as asynchronous readers and writers.
//!
//! Knows what kind of file a descriptor is. Pipes and sockets are read without a thread of their own, since a hop
//! between threads costs more than judging a call; anything else (a file, a terminal) goes through the runtime's
//! blocking threads.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::FileType;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// How much a pipe is made to hold, bytes. Linux lets a user have 64 MiB in all pipes before it makes new ones smaller, and
/// every session has three.
#[cfg(target_os = "linux")]
const PIPE: usize = 256 << 10;

/// The reading end.
pub enum Source {
    /// A pipe.
    Pipe(pipe::Receiver),
    /// A socket: what Node.js gives its children.
    Socket(UnixStream),
    /// Standard input that is neither.
    Stdin(tokio::io::Stdin),
}

/// The writing end.
pub enum Sink {
    /// A pipe.
    Pipe(pipe::Sender),
    /// A socket.
    Socket(UnixStream),
    /// Standard output that is neither.
    Stdout(tokio::io::Stdout),
}

impl Source {
    /// This process's standard input.
    pub fn stdin() -> io::Result<Self> {
        let fd = std::io::stdin().as_fd().try_clone_to_owned()?;
        Ok(match kind(&fd)? {
            FileType::Fifo => Self::Pipe(pipe::Receiver::from_owned_fd(fd)?),
            FileType::Socket => Self::Socket(socket(fd)?),
            _ => Self::Stdin(tokio::io::stdin()),
        })
    }

    /// The reading end of a pipe.
    pub fn pipe(fd: OwnedFd) -> io::Result<Self> {
        widen(&fd);
        Ok(Self::Pipe(pipe::Receiver::from_owned_fd(fd)?))
    }
}

impl Sink {
    /// This process's standard output.
    pub fn stdout() -> io::Result<Self> {
        let fd = std::io::stdout().as_fd().try_clone_to_owned()?;
        Ok(match kind(&fd)? {
            FileType::Fifo => {
                widen(&fd);
                Self::Pipe(pipe::Sender::from_owned_fd(fd)?)
            }
            FileType::Socket => Self::Socket(socket(fd)?),
            _ => Self::Stdout(tokio::io::stdout()),
        })
    }

    /// The writing end of a pipe.
    pub fn pipe(fd: OwnedFd) -> io::Result<Self> {
        widen(&fd);
        Ok(Self::Pipe(pipe::Sender::from_owned_fd(fd)?))
    }
}

/// Lets a pipe hold a whole long list, where the system can: each time one is full, both sides wait for each other. One
/// that stays as it is works as well, only slower.
fn widen(fd: &OwnedFd) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(fd, PIPE) {
        tracing::debug!("a pipe keeps its size: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = fd;
}

fn kind(fd: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

fn socket(fd: OwnedFd) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(fd);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

impl AsyncRead for Source {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pipe(inner) => Pin::new(inner).poll_read(cx, buf),
            Self::Socket(inner) => Pin::new(inner).poll_read(cx, buf),
            Self::Stdin(inner) => Pin::new(inner).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Pipe(inner) => Pin::new(inner).poll_write(cx, buf),
            Self::Socket(inner) => Pin::new(inner).poll_write(cx, buf),
            Self::Stdout(inner) => Pin::new(inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Pipe(inner) => Pin::new(inner).poll_write_vectored(cx, bufs),
            Self::Socket(inner) => Pin::new(inner).poll_write_vectored(cx, bufs),
            Self::Stdout(inner) => Pin::new(inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        !matches!(self, Self::Stdout(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pipe(inner) => Pin::new(inner).poll_flush(cx),
            Self::Socket(inner) => Pin::new(inner).poll_flush(cx),
            Self::Stdout(inner) => Pin::new(inner).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pipe(inner) => Pin::new(inner).poll_shutdown(cx),
            Self::Socket(inner) => Pin::new(inner).poll_shutdown(cx),
            Self::Stdout(inner) => Pin::new(inner).poll_shutdown(cx),
        }
    }
}
