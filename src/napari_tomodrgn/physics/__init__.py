"""Image formation: tensors in, tensors out. Knows no file and no network."""
