"""Imports what a run imports, so that its processes can be forked ready."""

from __future__ import annotations

import alembic.command
import openai.lib.streaming.chat
import openai.resources.batches
import openai.resources.chat.completions.completions
import openai.resources.files
import optuna
import rich.live
import rich.progress
import sentencepiece
import sqlalchemy.dialects.sqlite
import sqlalchemy.orm
import torch
import transformers.convert_slow_tokenizer
import transformers.generation.utils
import transformers.models.auto.tokenization_auto
import transformers.models.mistral.modeling_mistral

import tvmerge.engines.kinds.transformers
import tvmerge.engines.open_pool
import tvmerge.engines.transformers.engine
import tvmerge.judging.batch.anthropic
import tvmerge.judging.batch.openai
import tvmerge.judging.judges.rules
import tvmerge.judging.providers.anthropic
import tvmerge.judging.providers.openai
import tvmerge.merging.groupings.layer
import tvmerge.merging.live
import tvmerge.merging.methods.linear
import tvmerge.report.figures.categories
import tvmerge.report.figures.course
import tvmerge.report.figures.heatmap
import tvmerge.report.figures.history
import tvmerge.report.figures.importance
import tvmerge.report.figures.scatter
import tvmerge.report.figures.scores
import tvmerge.report.figures.spending
import tvmerge.report.figures.weights
import tvmerge.report.terminal.usage
import tvmerge.run.judge_answers
import tvmerge.run.optimize
import tvmerge.study.blocks.sampler
import tvmerge.study.samplers.auto
import tvmerge.study.samplers.cma_es
import tvmerge.study.store.rdb

__all__ = [
    "alembic",
    "openai",
    "optuna",
    "rich",
    "sentencepiece",
    "sqlalchemy",
    "torch",
    "transformers",
    "tvmerge",
]
