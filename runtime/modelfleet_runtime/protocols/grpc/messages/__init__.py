"""Protocol buffer messages, generated from the .proto files beside them (`make generate`)."""
