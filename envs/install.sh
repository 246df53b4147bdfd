#!/bin/sh
# What an image holds beside its base (Python 3.11 with venv): the locked environment in /opt/env.
set -eu
cd "$(dirname "$0")"
python3 -m venv /opt/env
/opt/env/bin/pip install --quiet uv==0.13.8
/opt/env/bin/uv pip install --quiet --python /opt/env/bin/python --compile-bytecode \
    --require-hashes -r requirements.txt
