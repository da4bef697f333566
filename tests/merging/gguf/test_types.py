"""The types that the quantizer lists."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest

from tests.llama_cpp import write_programs
from tvmerge.errors import ConfigError
from tvmerge.merging.gguf.types import chosen, listed_types


async def test_types_come_with_the_size_that_the_quantizer_states(tmp_path: Path) -> None:
    found = await listed_types((str(write_programs(tmp_path) / "llama-quantize"),))
    assert " ".join(found) == "Q5_0 IQ2_XXS Q3_K Q3_K_M Q4_K_M Q8_0 MXFP4_MOE F16 BF16"
    assert found["IQ2_XXS"] == 2.06
    assert found["Q4_K_M"] == pytest.approx(4.58 * 2**30 / 1e9, rel=1e-6)  # of 8 billion weights
    assert found["F16"] == pytest.approx(14 * 2**30 * 8 / 7e9, rel=1e-6)
    assert found["Q3_K"] == found["Q3_K_M"]
    assert math.isnan(found["MXFP4_MOE"])


async def test_a_program_that_lists_nothing_is_no_quantizer() -> None:
    with pytest.raises(ConfigError, match="lists no types of quantisation"):
        await listed_types((sys.executable, "-IS"))


def test_types_may_be_written_in_any_case_and_twice() -> None:
    assert chosen(["q8_0", "Q4_K_M", "Q8_0"], ["Q4_K_M", "Q8_0"]) == ("Q8_0", "Q4_K_M")


def test_an_unknown_type_is_refused_with_what_may_be_meant() -> None:
    expected = (
        "--quantise q4km: llama-quantize knows no such type (did you mean Q4_K_M?); it lists Q4_K_M, Q8_0"
    )
    with pytest.raises(ConfigError, match=re.escape(expected)):
        chosen(["q4km"], ["Q4_K_M", "Q8_0"])
