"""Tasks of lm-evaluation-harness, whose documents are rated by their own metrics instead of a judge.

`requests` what is wanted, `loading` the tasks it names, `jglue` JGLUE's files, `task` a task's documents,
`metric` how they are rated, `model` the language model that lm-eval asks, `pool` and `judge` the interfaces.
"""
