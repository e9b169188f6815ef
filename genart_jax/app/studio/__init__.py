"""The studio: pages in a browser, behind them an API, a queue, and a process that works for each device.

The server imports no jax. What a model can do is told by the worker, which has loaded it, as forms (`forms`); what is
asked is checked against them, queued (`store`) and sent to the worker (`workers`, `worker`), which does it (`works`).
"""
