FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    NUMBA_CACHE_DIR=/opt/avalanche/numba \
    MPLCONFIGDIR=/tmp/matplotlib

# matplotlib and rasterio wheels bring their libraries; libexpat is the one thing the slim image lacks. Its version
# is whatever Debian's security updates have made of it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libexpat1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/avalanche
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY avalanche_assets avalanche_assets
RUN pip install -c constraints.txt ".[deploy,s3]"

RUN useradd --uid 10001 --create-home avalanche \
    && mkdir -p /opt/dagster/home/storage /opt/avalanche/numba \
    && chown -R avalanche:avalanche /opt/dagster/home/storage /opt/avalanche/numba
COPY deploy/compose/dagster.yaml /opt/dagster/home/dagster.yaml
COPY deploy/compose/workspace.yaml /opt/dagster/workspace.yaml

USER 10001
WORKDIR /opt/dagster
# Compiled code comes with the image: otherwise each new container spends half a minute compiling.
COPY deploy/compile_kernels.py /opt/avalanche/compile_kernels.py
RUN python /opt/avalanche/compile_kernels.py
