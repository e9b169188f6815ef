"""What is measured of pictures, or of features of them; which network makes the features is chosen in `evaluate`.

A metric that streams has a state, a tuple of arrays, and four functions: `empty`, `update`, `merge` and `compute`.
States of parts of the data, of other hosts for example, merge into the state of the whole.
"""
