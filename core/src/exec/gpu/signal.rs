//! A callback of wgpu as a future.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// What has come, and who waits for it.
struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// A function that takes one value, and a future that completes with it.
pub fn signal<T: Send + 'static>() -> (impl FnOnce(T) + Send + 'static, impl Future<Output = T>) {
    let slot = Arc::new(Mutex::new(Slot { value: None, waker: None }));
    let filled = Arc::clone(&slot);
    let send = move |value| {
        let mut slot = filled.lock().unwrap_or_else(PoisonError::into_inner);
        slot.value = Some(value);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    };
    let receive = poll_fn(move |context| {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = slot.value.take() {
            return Poll::Ready(value);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    });
    (send, receive)
}
