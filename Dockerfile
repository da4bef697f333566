# tvmerge in a container. On a CPU:
#   docker build --tag tvmerge .
#   docker run --rm --volume "$PWD:/data" tvmerge demo
# With CUDA, from an image of NVIDIA that has Python:
#   docker build --tag tvmerge:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#   docker run --rm --gpus all --volume "$PWD:/data" --env GEMINI_API_KEY tvmerge:cuda optimize --config run.toml
# The builds of torch for CUDA bring the libraries of CUDA; the host needs the driver and NVIDIA's container toolkit.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Extras, see pyproject.toml; add `local` for a judge on the GPU.
ARG EXTRAS=openai,anthropic,cohere,tokenizers,harness

WORKDIR /opt/tvmerge
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY tvmerge tvmerge
COPY judges judges
COPY benchmarks benchmarks
COPY prompts prompts
COPY examples/demo/models examples/demo/models
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" --constraint constraints.txt torch \
    && pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

# Answers and paid judgments are stored here; mount a volume to keep them.
ENV TVMERGE_CACHE_DIR=/data/.tvmerge-cache HF_HOME=/data/.huggingface
WORKDIR /data
ENTRYPOINT ["tvmerge"]
