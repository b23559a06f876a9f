//! What went wrong when a guest failed, told by types and flags rather than by texts.

use wasmtime::{Trap, WasmBacktrace};

use super::FailureKind;
use super::guest::{Guest, ImportError};
use crate::mcp::escape::visible_cut;

/// The most characters of a failure's detail.
const DETAIL_CHARS: usize = 1_000;

/// How many of the guest's functions a detail names.
const FRAMES: usize = 4;

/// What kind of failure `error` is, which came from calling into the instance that `guest` belongs to.
pub(super) fn classify(guest: &Guest, error: &wasmtime::Error) -> (FailureKind, String) {
    let detail = visible_cut(&describe(error), DETAIL_CHARS).into_owned();
    if guest.timed_out {
        return (FailureKind::Timeout, "it ran over its time".into());
    }
    if guest.memory.refused {
        return (FailureKind::OutOfMemory, detail);
    }
    let kind = match error.downcast_ref::<Trap>() {
        Some(Trap::AllocationTooLarge) => FailureKind::OutOfMemory,
        // Met while the host took an answer or an argument out of the guest's memory.
        Some(
            Trap::StringOutOfBounds
            | Trap::ListOutOfBounds
            | Trap::InvalidDiscriminant
            | Trap::InvalidChar
            | Trap::UnalignedPointer
            | Trap::MemoryOutOfBounds,
        ) if !has_frames(error) => FailureKind::BadOutput,
        Some(_) => FailureKind::Trap,
        None if error.is::<ImportError>() => FailureKind::Trap,
        // It exited, or used a handle that it does not have, or too many.
        None if error.is::<wasmtime_wasi::I32Exit>()
            || error.is::<wasmtime::component::ResourceTableError>() =>
        {
            FailureKind::Trap
        }
        None if error.is::<wasmtime::PoolConcurrencyLimitError>() => FailureKind::Host,
        // What is left comes from taking values out of the guest's memory: text that is not UTF-8, pointers outside
        // of it, more than may be copied.
        None => FailureKind::BadOutput,
    };
    (kind, detail)
}

/// The cause, and where in the guest it was met.
fn describe(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return format!("{error:#}");
    };
    let mut text = error.root_cause().to_string();
    for (n, frame) in backtrace.frames().iter().take(FRAMES).enumerate() {
        text.push_str(if n == 0 { ", in " } else { " < " });
        match frame.func_name() {
            Some(name) => text.push_str(name),
            None => text.push_str(&format!("function {}", frame.func_index())),
        }
    }
    text
}

/// Whether guest code was running.
fn has_frames(error: &wasmtime::Error) -> bool {
    error
        .downcast_ref::<WasmBacktrace>()
        .is_some_and(|backtrace| !backtrace.frames().is_empty())
}
