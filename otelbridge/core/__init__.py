"""The core: the journal and everything that lives in its thread, in a process of its own."""
