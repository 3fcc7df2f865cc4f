"""What runs on a compute node: the training program and the file contract it keeps."""
