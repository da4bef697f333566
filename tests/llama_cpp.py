"""Programs like llama.cpp's converter, quantizer and server, for where these are not installed.

They have the same command lines, and the server speaks the protocol of llama-server. Their files begin as
GGUF files do and hold, as JSON, what they were made of. A file beside the programs makes them misbehave:
`break`, `crash`, `narrow`, `unwell`.
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


_SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

here = Path(__file__).parent
if sys.argv[1:] == ["--version"]:
    print("version: 4242 (fake)", file=sys.stderr)
    sys.exit()
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
content = json.loads(Path(given["--model"]).read_bytes()[4:])
if (here / "unwell").exists():
    print("0.00.1 E srv: error: failed to load the model", file=sys.stderr)
    print("exiting", file=sys.stderr)
    sys.exit(1)
(here / "pid").write_text(str(os.getpid()))
room = int(given["--ctx-size"]) // int(given["--parallel"])


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        room_told = room // 2 if (here / "narrow").exists() else room
        self.reply(200, {"default_generation_settings": {"n_ctx": room_told}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer " + os.environ["LLAMA_API_KEY"]:
            return self.reply(401, {"error": {"message": "Invalid API Key"}})
        with (here / "requests.jsonl").open("a") as log:
            print(json.dumps({"type": content["type"], **body}), file=log)
        if (here / "crash").exists():
            (here / "crash").unlink()
            os._exit(3)
        prompt, most = body["prompt"], body["n_predict"]
        if len(prompt) > room:
            return self.reply(400, {"error": {"message": f"request ({len(prompt)} tokens) exceeds"}})
        rule = json.loads((here / "answers.json").read_text()) if (here / "answers.json").exists() else {}
        tokens = rule.get(content["type"], rule.get("any", [40, 41, 42, 2]))[:most]
        ended = len(tokens) < most or tokens[-1:] == [2]
        kind = rule.get("stop_type", "eos" if ended else "limit")
        self.reply(200, {"tokens": tokens, "stop_type": kind, "truncated": rule.get("truncated", False)})


ThreadingHTTPServer((given["--host"], int(given["--port"])), Handler).serve_forever()
"""


def write_programs(folder: Path) -> Path:
    """Write a converter, a quantizer and a server into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "convert_hf_to_gguf.py": _CONVERTER + _END,
        "llama-quantize": _QUANTIZER + _END,
        "llama-server": _SERVER,
    }.items():
        program = folder / name
        program.write_text(f"#!{sys.executable} -IS\n{text}")
        program.chmod(0o755)
    return folder


def requests(folder: Path) -> list[dict[str, Any]]:
    """Return the requests that the server in a folder has had, in order."""
    log = folder / "requests.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


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
