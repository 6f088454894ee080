"""Sockets and tasks: the gRPC server, the HTTP server, the control socket, the client."""
