from __future__ import annotations

import pytest

from tvmerge.errors import ConfigError
from tvmerge.tasks.lm_eval.requests import TaskRequest, one_each, task_requests

NONE = [None]


def test_a_task_is_named_with_its_metric_and_its_filter() -> None:
    texts = [("jnli", 1.0), ("gsm8k:exact_match", 0.5), ("gsm8k:exact_match/flexible-extract", 2.0)]
    assert task_requests(texts, [3, None, 0], [None, 7, None]) == (
        TaskRequest("jnli", num_fewshot=3),
        TaskRequest("gsm8k", "exact_match", weight=0.5, limit=7),
        TaskRequest("gsm8k", "exact_match", "flexible-extract", 2.0, num_fewshot=0),
    )


@pytest.mark.parametrize("text", ["", " ", ":acc", "jnli:", "jnli:acc/"])
def test_a_text_that_names_no_task_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write a task as name, name:metric or name:metric/filter"):
        task_requests([(text, 1.0)], NONE, NONE)


def test_one_number_stands_for_all_tasks_and_a_list_for_one_each() -> None:
    assert one_each([], 2, "--task-limit", least=1) == [None, None]
    assert one_each([3], 2, "--task-limit", least=1) == [3, 3]
    assert one_each([10, 20], 2, "--task-limit", least=1) == [10, 20]


def test_a_list_of_a_wrong_length_is_refused() -> None:
    message = r"--jglue-limit takes one number, or one per task \(3 tasks\), got 2 numbers"
    with pytest.raises(ConfigError, match=message):
        one_each([10, 20], 3, "--jglue-limit", least=1)


@pytest.mark.parametrize("flag", ["--task-limit", "--jglue-limit"])
def test_a_number_for_no_task_is_refused_and_not_ignored(flag: str) -> None:
    assert one_each([], 0, flag, least=1) == []
    with pytest.raises(ConfigError, match=rf"^{flag} is set without a task that it applies to"):
        one_each([100], 0, flag, least=1)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="--num-fewshot must be at least 0, got -1"):
        one_each([2, -1], 2, "--num-fewshot", least=0)
