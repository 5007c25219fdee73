//! Blocks of a fixed size, packed on several threads and written in their order.
//!
//! Every block is packed by itself, so the output depends neither on the number of threads nor on
//! how the input arrives, and memory is bounded by the number of threads.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::crew::{Crew, Packed};

/// Packs one block at a time.
pub(super) trait Pack: Send {
    /// Gives the packed form, which stands by itself.
    fn pack(&mut self, block: &[u8]) -> io::Result<Vec<u8>>;
}

/// How blocks are made and by whom they are packed.
pub(super) struct Plan {
    /// Bytes of a block; part of the output's identity.
    pub(super) block: usize,
    /// Threads that pack; none packs on the thread that writes.
    pub(super) n_threads: usize,
    /// Makes what packs, once for each thread.
    pub(super) packer: fn(level: i32) -> io::Result<Box<dyn Pack>>,
    /// The level it packs at.
    pub(super) level: i32,
}

/// Packs what is written to it; [`Self::finish`] must be called for the whole.
pub(super) struct BlockWriter<W> {
    inner: W,
    plan: Plan,
    pending: Vec<u8>,
    crew: Option<Crew>,
    /// Packs where no thread does.
    own: Option<Box<dyn Pack>>,
    waiting: VecDeque<Packed>,
    /// Buffers of blocks that are packed.
    spare: Vec<Vec<u8>>,
    n_blocks: usize,
    /// Where the blocks written so far begin in the output, and where the next one will.
    starts: Vec<u64>,
}

impl<W: Write> BlockWriter<W> {
    pub(super) fn new(inner: W, plan: Plan) -> Self {
        Self {
            inner,
            plan,
            pending: Vec::new(),
            crew: None,
            own: None,
            waiting: VecDeque::new(),
            spare: Vec::new(),
            n_blocks: 0,
            starts: vec![0],
        }
    }

    /// Ends the block that is being filled, if there is anything in it.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.n_blocks += 1;
        let spare = self.spare.pop().unwrap_or_default();
        let block = std::mem::replace(&mut self.pending, spare);
        if self.plan.n_threads == 0 {
            return self.pack_here(block);
        }
        let crew = match &mut self.crew {
            Some(crew) => crew,
            none => none.insert(Crew::start(&self.plan)?),
        };
        self.waiting.push_back(crew.give(block)?);
        // Two more than there are threads, so that none waits for this one.
        while self.waiting.len() > self.plan.n_threads + 2 {
            self.settle()?;
        }
        Ok(())
    }

    /// The number of blocks that were cut: the number of the block that is being filled.
    pub(super) fn n_blocks(&self) -> usize {
        self.n_blocks
    }

    /// Packs and writes what is left; gives the writer below and where each block begins.
    ///
    /// Empty input makes one empty block.
    pub(super) fn finish(mut self) -> io::Result<(W, Vec<u64>)> {
        if self.crew.is_none() && (self.n_blocks == 0 || !self.pending.is_empty()) {
            let block = std::mem::take(&mut self.pending);
            self.pack_here(block)?;
        }
        self.cut()?;
        while !self.waiting.is_empty() {
            self.settle()?;
        }
        Ok((self.inner, self.starts))
    }

    fn pack_here(&mut self, mut block: Vec<u8>) -> io::Result<()> {
        let packer = match &mut self.own {
            Some(packer) => packer,
            none => none.insert((self.plan.packer)(self.plan.level)?),
        };
        let packed = packer.pack(&block)?;
        block.clear();
        self.spare.push(block);
        self.put(&packed)
    }

    /// Writes the oldest block that is being packed.
    fn settle(&mut self) -> io::Result<()> {
        let Some(packed) = self.waiting.pop_front() else {
            return Ok(());
        };
        let (packed, mut block) = packed.wait()?;
        block.clear();
        self.spare.push(block);
        self.put(&packed)
    }

    fn put(&mut self, packed: &[u8]) -> io::Result<()> {
        let start = self.starts.last().copied().unwrap_or_default();
        self.starts.push(start + packed.len() as u64);
        self.inner.write_all(packed)
    }
}

impl<W: Write> Write for BlockWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full block leaves when more follows: the only block needs no threads.
        if self.pending.len() == self.plan.block && !bytes.is_empty() {
            self.cut()?;
        }
        let n = bytes.len().min(self.plan.block - self.pending.len());
        self.pending.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    /// Does nothing: a flush would make the output depend on who calls it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
