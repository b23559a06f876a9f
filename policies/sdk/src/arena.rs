//! The component's allocator: a static arena first, the system's allocator once that is used up.
//!
//! An instance lives for one message, so most of what it allocates need not be freed. Growing linear memory, on the
//! other hand, is dear: the host must change the protection of pages and tell every core of it. The arena is part of
//! the memory an instance begins with; pages of it that are never touched cost nothing.
//!
//! This module and what wit-bindgen generates are the SDK's only unsafe code. What makes it sound is said at each
//! block.

#![cfg_attr(
    not(all(target_arch = "wasm32", feature = "arena")),
    allow(dead_code, reason = "natively only the tests use it")
)]
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

/// Bytes of the arena in a component: enough for filtering some thousand items.
#[cfg(all(target_arch = "wasm32", feature = "arena"))]
const SIZE: usize = 512 * 1024;

#[cfg(all(
    target_arch = "wasm32",
    not(target_feature = "atomics"),
    feature = "arena"
))]
#[global_allocator]
static ARENA: Arena<SIZE> = Arena::new();

/// A bump allocator over its own bytes, with the system's allocator behind it.
///
/// Blocks are handed out one after the other. The last block can grow, shrink and be freed; freeing another does
/// nothing.
#[repr(C, align(16))]
struct Arena<const SIZE: usize> {
    bytes: UnsafeCell<[u8; SIZE]>,
    used: Cell<usize>,
}

// SAFETY: a static must be `Sync`. A component without the threads proposal (`atomics`) has one thread, and only such
// a one has a static of this type.
#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
unsafe impl<const SIZE: usize> Sync for Arena<SIZE> {}

impl<const SIZE: usize> Arena<SIZE> {
    const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new([0; SIZE]),
            used: Cell::new(0),
        }
    }

    fn base(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    /// Where in the arena a block begins; none if the system's allocator made it.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = block.addr().wrapping_sub(self.base().addr());
        (offset < SIZE).then_some(offset)
    }

    /// Takes a block from the arena, if there is room.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let free = self.base().addr() + self.used.get();
        let begin = free.checked_next_multiple_of(layout.align())? - self.base().addr();
        // A block never begins at the very end, not even an empty one, so that `offset` knows every block.
        let end = begin.checked_add(layout.size().max(1))?;
        if end > SIZE {
            return None;
        }
        self.used.set(end);
        Some(self.base().wrapping_add(begin))
    }

    /// Whether a block of `size` bytes at `offset` is the last one that was handed out.
    fn is_last(&self, offset: usize, size: usize) -> bool {
        offset + size.max(1) == self.used.get()
    }
}

// SAFETY: `take` hands out aligned ranges of the arena that lie wholly in it and that no live block overlaps, since
// `used` only goes back over the last block when that one is freed or shrunk by its owner. Blocks from outside the
// arena are the system allocator's from beginning to end.
unsafe impl<const SIZE: usize> GlobalAlloc for Arena<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(block) => block,
            // SAFETY: the caller keeps `alloc`'s contract.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(offset) if self.is_last(offset, layout.size()) => self.used.set(offset),
            Some(_) => {}
            // SAFETY: not of the arena, so the system's allocator made it with this layout.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(offset) = self.offset(block) else {
            // SAFETY: not of the arena, so the system's allocator made it with this layout.
            return unsafe { System.realloc(block, layout, new_size) };
        };
        if self.is_last(offset, layout.size()) {
            match offset.checked_add(new_size.max(1)) {
                Some(end) if end <= SIZE => {
                    self.used.set(end);
                    return block;
                }
                _ => {}
            }
        } else if new_size <= layout.size() {
            return block;
        }
        // SAFETY: the caller keeps `realloc`'s contract: `new_size`, rounded up to the alignment, fits an `isize`.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: a fresh block of the new layout, which cannot overlap the old one, and both hold the bytes copied.
        unsafe {
            let new_block = self.alloc(new_layout);
            if !new_block.is_null() {
                std::ptr::copy_nonoverlapping(block, new_block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            new_block
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_disjoint_and_inside() {
        let arena = Arena::<256>::new();
        let mut blocks = Vec::new();
        for (size, align) in [(1, 1), (8, 8), (3, 2), (0, 1), (16, 16), (5, 1)] {
            let block = arena.take(layout(size, align)).unwrap();
            assert_eq!(block.addr() % align, 0);
            blocks.push((arena.offset(block).unwrap(), size.max(1)));
        }
        for pair in blocks.windows(2) {
            assert!(
                pair[0].0 + pair[0].1 <= pair[1].0,
                "blocks overlap: {blocks:?}"
            );
        }
    }

    #[test]
    fn a_block_that_does_not_fit_is_the_systems() {
        let arena = Arena::<64>::new();
        let big = layout(65, 1);
        // SAFETY: freed below with the layout it was made with.
        unsafe {
            let block = arena.alloc(big);
            assert!(arena.offset(block).is_none());
            block.write_bytes(7, 65);
            arena.dealloc(block, big);
        }
        assert_eq!(arena.used.get(), 0);
    }

    #[test]
    fn the_last_block_grows_in_place_and_gives_back() {
        let arena = Arena::<64>::new();
        // SAFETY: every block is used within its size and with the layout it has at the time.
        unsafe {
            let block = arena.alloc(layout(8, 1));
            block.write_bytes(1, 8);
            assert_eq!(arena.realloc(block, layout(8, 1), 40), block);
            assert_eq!(arena.used.get(), 40);
            assert_eq!(arena.realloc(block, layout(40, 1), 4), block);
            assert_eq!(arena.used.get(), 4);
            arena.dealloc(block, layout(4, 1));
        }
        assert_eq!(arena.used.get(), 0);
    }

    #[test]
    fn a_block_that_moves_keeps_its_bytes() {
        let arena = Arena::<64>::new();
        // SAFETY: every block is used within its size and with the layout it has at the time.
        unsafe {
            let first = arena.alloc(layout(4, 1));
            first.copy_from_nonoverlapping(b"abcd".as_ptr(), 4);
            let second = arena.alloc(layout(4, 1));
            second.copy_from_nonoverlapping(b"wxyz".as_ptr(), 4);
            // Not the last: moves within the arena. Then too big for it: moves to the system's.
            let moved = arena.realloc(first, layout(4, 1), 16);
            assert_ne!(moved, first);
            assert_eq!(std::slice::from_raw_parts(moved, 4), b"abcd");
            assert_eq!(std::slice::from_raw_parts(second, 4), b"wxyz");
            let outside = arena.realloc(moved, layout(16, 1), 100);
            assert!(arena.offset(outside).is_none());
            assert_eq!(std::slice::from_raw_parts(outside, 4), b"abcd");
            arena.dealloc(outside, layout(100, 1));
        }
    }
}
