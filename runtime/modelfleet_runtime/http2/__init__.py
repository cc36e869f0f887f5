"""gRPC's transport: HTTP/2 connections on the event loop, as strict as RFC 9113 asks."""
