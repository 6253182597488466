//! What the agent tells the kernel half before it is loaded.
