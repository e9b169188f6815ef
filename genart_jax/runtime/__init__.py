"""How a process compiles, keeps memory, names paths and tells how far it is."""
