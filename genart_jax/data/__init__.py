"""Where pictures come from: sources, the pipeline to the device, and what is done to pictures there."""
