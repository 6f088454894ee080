"""Sans-IO protocols: bytes in, events and bytes out; no socket, no task, no clock."""
