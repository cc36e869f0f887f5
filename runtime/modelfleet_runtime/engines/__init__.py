"""One engine a file: load a package, warm up, run batches."""
