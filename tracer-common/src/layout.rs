//! Records that the kernel half writes and the agent reads.
