//! A heap with a door: PID 1 locks it after boot, and from then on there is no memory to be had.
//!
//! But for a panic: the standard library puts its message together before our hook is called, and the machine ends right after it.
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
        if self.locked.load(Ordering::Relaxed) && !std::thread::panicking() {
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

    /// Asks when it is dropped.
    struct Asker<'h>(&'h Heap, &'h std::cell::Cell<bool>);

    impl Drop for Asker<'_> {
        fn drop(&mut self) {
            let layout = Layout::new::<u64>();
            // SAFETY: a layout of eight bytes.
            let pointer = unsafe { self.0.alloc(layout) };
            self.1.set(!pointer.is_null());
            if !pointer.is_null() {
                // SAFETY: it came from this heap with this layout.
                unsafe { self.0.dealloc(pointer, layout) };
            }
        }
    }

    #[test]
    fn a_panic_finds_it_open() {
        let heap = Heap::new();
        heap.lock();
        let got = std::cell::Cell::new(false);
        drop(Asker(&heap, &got));
        assert!(!got.get());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _asker = Asker(&heap, &got);
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err() && got.get());
    }

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
