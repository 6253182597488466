//! The words that tracer's kernel half and its agent share: hops, layouts, buckets, settings.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod bucket;
pub mod constant;
pub mod exchange;
pub mod hop;
pub mod layout;
pub mod loss;
pub mod maker;
pub mod passing;
pub mod settings;
