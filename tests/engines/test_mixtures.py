"""A mixture of experts answers as it does when it is read from its own files.

Several modules: mixtures in merging and the transformers engine.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.engines.mixtures import FAMILIES, mixture_engine, mixture_settings
from tvmerge._util.caches import Caches
from tvmerge.merging.build import open_models
from tvmerge.testing.engine_contract import GREEDY
from tvmerge.testing.models import PlainModel, answers_of, demo_questions, uneven


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_live_mixture_answers_as_the_written_one(
    family: str, demo_models: Path, tmp_path: Path
) -> None:
    settings = mixture_settings(demo_models, tmp_path, family)
    with closing(Caches()) as caches:
        merge = open_models(settings, caches)
    assert merge.config is not None
    assert merge.config["model_type"] == family
    engine = mixture_engine(settings)
    found = await answers_of(engine, uneven(merge, -0.2), demo_questions(4), GREEDY)
    await engine.close()
    plain = PlainModel.merged(merge, uneven(merge, -0.2))
    for question in demo_questions(4):
        assert found[question.question_id, 0].turns == plain.answer(question, 24)
