//! Policies into a filter, for the desk.
//!
//! In:  texts, each with its name. Out: a filter as the kernel takes it.
//!
//! Not here: the gateway's filters, which are compiled when this room is built (`build.rs`).
//!
//! Source: linux/filter.h, `struct sock_filter`.

use crate::{bpf, policy};

/// Compiles `texts` for the ABI of this program: instructions of eight bytes.
///
/// # Errors
/// The text, its line, and what is wrong with it; or that all of it is too long for the kernel.
pub fn compile(texts: &[(&str, &str)]) -> Result<Vec<u8>, String> {
    let abi = if cfg!(target_arch = "x86") { policy::Abi::I386 } else { policy::Abi::X86_64 };
    let program = bpf::assemble(&policy::read(include_str!("../policy/calls.tbl"), texts, abi)?)?;
    let bytes = |(code, yes, no, operand): bpf::Code| {
        let ([code, more], [a, b, c, d]) = (code.to_ne_bytes(), operand.to_ne_bytes());
        [code, more, yes, no, a, b, c, d]
    };
    Ok(program.into_iter().flat_map(bytes).collect())
}
