"""Scripts that measured every figure of the project, and their results."""
