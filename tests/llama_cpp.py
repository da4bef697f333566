"""Programs with the command lines of llama.cpp's converter and quantizer, for where these are not installed.

Their files begin as GGUF files do and hold, as JSON, what they were made of.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LISTED = """\
usage: llama-quantize [--help] model-f32.gguf [model-quant.gguf] type [nthreads]

 allowed quantization types

   8  or  Q5_0    :  5.21G, +0.1316 ppl @ Llama-3-8B
  19  or  IQ2_XXS :  2.06 bpw quantization
  12  or  Q3_K    : alias for Q3_K_M
  12  or  Q3_K_M  :  3.74G, +0.6569 ppl @ Llama-3-8B
  15  or  Q4_K_M  :  4.58G, +0.1754 ppl @ Llama-3-8B
   7  or  Q8_0    :  7.96G, +0.0026 ppl @ Llama-3-8B
  38  or  MXFP4_MOE : MXFP4 MoE
   1  or  F16     : 14.00G, +0.0020 ppl @ Mistral-7B
  32  or  BF16    : 14.00G, -0.0050 ppl @ Mistral-7B
          COPY    : only copy tensors, no quantizing
"""
"""What the quantizer prints, shortened."""

_CONVERTER = """
import hashlib, json, sys
from pathlib import Path

arguments = sys.argv[1:]
model, out = Path(arguments[-1]), Path(arguments[arguments.index("--outfile") + 1])
config = json.loads((model / "config.json").read_text())
print("INFO: loading", file=sys.stderr)
if config["architectures"] == ["UnknownForCausalLM"]:
    sys.exit("Model UnknownForCausalLM is not supported")
content = {"architecture": config["architectures"][0]}
if "--vocab-only" not in arguments:
    shards = b"".join(path.read_bytes() for path in sorted(model.glob("*.safetensors")))
    content |= {"type": arguments[arguments.index("--outtype") + 1].upper()}
    content |= {"weights": hashlib.sha256(shards).hexdigest()}
"""

_QUANTIZER = f"""
import json, sys
from pathlib import Path

if len(sys.argv) < 4:
    print({LISTED!r})
    sys.exit(1)
whole, out, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
content = json.loads(whole.read_bytes()[4:]) | {{"type": kind, "of": whole.name}}
"""

_END = """
with Path(__file__).with_name("calls.txt").open("a") as calls:
    print(content.get("type", "vocabulary"), file=calls)
if Path(__file__).with_name("break").exists():
    print("not enough memory", file=sys.stderr)
    sys.exit(3)
out.write_bytes(b"GGUF" + json.dumps(content).encode())
"""


def write_programs(folder: Path) -> Path:
    """Write a converter and a quantizer into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"convert_hf_to_gguf.py": _CONVERTER, "llama-quantize": _QUANTIZER}.items():
        program = folder / name
        program.write_text(f"#!{sys.executable} -IS\n{text}{_END}")
        program.chmod(0o755)
    return folder


def calls(folder: Path) -> list[str]:
    """Return the types of the files that the programs in a folder have made, in order."""
    made = folder / "calls.txt"
    return made.read_text().split() if made.exists() else []


def content(file: Path) -> dict[str, Any]:
    """Return what a file was made of."""
    raw = file.read_bytes()
    assert raw.startswith(b"GGUF")
    found: dict[str, Any] = json.loads(raw[4:])
    return found
