"""`build(networks, config, axis_name) -> Algorithm` for each family of training steps."""
