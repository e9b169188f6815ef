"""The commands, one file each, of the command's own name.

A file has `USAGE`, how the command is called; `SUMMARY`, what it does; its options; and `run(args)`, which takes what
stands behind the command's name. What needs jax or other slow imports is imported in `run`, once the options are right.
No command imports another: what several need lies beside this folder.
"""
