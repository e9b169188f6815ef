"""The one loop and what it needs: optimizers, devices, checkpoints, logs."""
