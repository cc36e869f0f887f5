"""The calls that the gRPC port answers, whichever transport carries them."""
