"""The runtime against its peers: same models, same tensors, same machine, same run."""
