from __future__ import annotations

import pytest

from tvmerge.errors import ConfigError
from tvmerge.evaluation.harness.requests import TaskRequest, task_requests


def test_a_task_is_named_with_its_metric_and_its_filter() -> None:
    found = task_requests(
        [("jnli", 1.0), ("gsm8k:exact_match", 0.5), ("gsm8k:exact_match/flexible-extract", 2.0)]
    )
    assert found == (
        TaskRequest("jnli"),
        TaskRequest("gsm8k", "exact_match", weight=0.5),
        TaskRequest("gsm8k", "exact_match", "flexible-extract", 2.0),
    )


def test_one_number_stands_for_all_tasks_and_a_list_for_one_each() -> None:
    texts = [("a", 1.0), ("b", 1.0)]
    found = task_requests(texts, num_fewshot=[3], limits=[10, 20])
    assert [(one.num_fewshot, one.limit) for one in found] == [(3, 10), (3, 20)]
    assert [(one.num_fewshot, one.limit) for one in task_requests(texts)] == [(None, None)] * 2


@pytest.mark.parametrize("text", ["", " ", ":acc", "jnli:", "jnli:acc/"])
def test_a_text_that_names_no_task_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a task is written name, name:metric or name:metric/filter"):
        task_requests([(text, 1.0)])


def test_a_list_of_a_wrong_length_is_refused() -> None:
    texts = [("a", 1.0), ("b", 1.0), ("c", 1.0)]
    with pytest.raises(
        ConfigError, match="--jglue-limit takes one number, or one for each of the 3 tasks, got 2"
    ):
        task_requests(texts, limits=[10, 20], limits_flag="--jglue-limit")
    with pytest.raises(ConfigError, match="--num-fewshot takes one number"):
        task_requests(texts, num_fewshot=[1, 2])


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="--num-fewshot must be at least 0, got -1"):
        task_requests([("a", 1.0)], num_fewshot=[-1])
    with pytest.raises(ConfigError, match="--task-limit must be at least 1, got 0"):
        task_requests([("a", 1.0)], limits=[0])
