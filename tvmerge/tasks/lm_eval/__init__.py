"""Tasks of lm-evaluation-harness, whose documents are rated by their own metrics instead of a judge.

`requests` parses the requested tasks, `loading` loads them, `jglue` reads JGLUE's files, `task` holds a
task's documents, `metric` its metric, `model` is the language model that lm-eval asks, and `pool` and `judge`
implement the interfaces.
"""
