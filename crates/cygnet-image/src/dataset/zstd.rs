//! Zstandard files: one frame after the other.

use std::io::{self, Read};

use cygnet_files::Size;
use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::faults::refused;

/// The largest window, which is held in memory; `zstd --ultra -22` needs 128 MB.
const MOST_WINDOW: u64 = 256 << 20;

/// Reads what a file of frames holds.
pub(super) struct ZstdReader<R> {
    input: R,
    decoder: FrameDecoder,
    /// Whether a frame has begun that has not been read to its end.
    is_inside: bool,
}

impl<R: Read> ZstdReader<R> {
    pub(super) fn new(input: R) -> ZstdReader<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MOST_WINDOW);
        ZstdReader { input, decoder, is_inside: false }
    }

    /// Begins the next frame; false at the end of the file, which may be behind any frame.
    fn begin(&mut self) -> io::Result<bool> {
        let mut first = [0];
        if self.input.read(&mut first)? == 0 {
            return Ok(false);
        }
        match self.decoder.init(first.as_slice().chain(&mut self.input)) {
            Ok(()) => self.is_inside = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                io::copy(&mut (&mut self.input).take(length.into()), &mut io::sink())?;
            }
            Err(error) => return Err(damaged(&error)),
        }
        Ok(true)
    }
}

/// Why a frame cannot be read, and what to do.
fn damaged(error: &FrameDecoderError) -> io::Error {
    use FrameDecoderError as Why;
    use FrameHeaderError::WindowTooBig;
    match error {
        Why::WindowSizeTooBig { requested: window, .. }
        | Why::FrameHeaderError(WindowTooBig { got: window })
        | Why::FailedToInitialize(WindowTooBig { got: window }) => refused(format!(
            "needs {} of memory to be unpacked, more than the limit of {}; pack it again without --long and --ultra, or \
             unpack it and give the folder",
            Size(*window),
            Size(MOST_WINDOW)
        )),
        Why::DictNotProvided { .. } => {
            refused("needs a dictionary to be unpacked; unpack it and give the folder".into())
        }
        _ => {
            let reason = "not zstd data as they should be; download or copy the file again";
            io::Error::new(io::ErrorKind::InvalidData, reason)
        }
    }
}

impl<R: Read> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if self.is_inside && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.input, one).map_err(|error| damaged(&error))?;
            } else {
                self.is_inside = false;
                if !self.begin()? {
                    return Ok(0);
                }
            }
        }
    }
}
