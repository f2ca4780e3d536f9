//! A heap with a door: PID 1 locks it after boot, and from then on there is no memory to be had.
//!
//! Source: `std::alloc::GlobalAlloc`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The allocator. `#[global_allocator] static HEAP: Heap = Heap::new();`
#[derive(Debug, Default)]
pub struct Heap {
    locked: AtomicBool,
}

impl Heap {
    /// A heap whose door is open.
    #[must_use]
    pub const fn new() -> Self {
        Self { locked: AtomicBool::new(false) }
    }

    /// Locks the door, for good. Who asks for memory after that ends the process, by way of Rust's allocation error.
    pub fn lock(&self) {
        self.locked.store(true, Ordering::Relaxed);
    }
}

// SAFETY: every pointer comes from `System` and goes back to it with the same layout; a null answer is what `GlobalAlloc` asks for
// when there is no memory.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.locked.load(Ordering::Relaxed) {
            return ptr::null_mut();
        }
        // SAFETY: our caller keeps `GlobalAlloc::alloc`'s promises, which are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; what was given out before the door was locked may still come back.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::Heap;
    use std::alloc::{GlobalAlloc, Layout};

    #[test]
    fn a_locked_door_stays_shut() {
        let heap = Heap::new();
        let layout = Layout::new::<u64>();
        // SAFETY: a layout of eight bytes.
        let before = unsafe { heap.alloc(layout) };
        assert!(!before.is_null());
        heap.lock();
        // SAFETY: as above.
        assert!(unsafe { heap.alloc(layout) }.is_null());
        // SAFETY: it came from this heap with this layout.
        unsafe { heap.dealloc(before, layout) };
    }
}
