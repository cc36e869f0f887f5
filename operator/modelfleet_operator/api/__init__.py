"""The resource as people write it and read it: spec, status, reasons, labels, and the CRD."""
