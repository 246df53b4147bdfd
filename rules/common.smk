import sys
import time
from functools import partial

from snakemake.exceptions import WorkflowError

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.source_hash import source_hash
from workflow_scripts.workflow.configuration import CASCADE
from workflow_scripts.workflow.environment import (
    growing,
    module_launcher,
    prefer_this_interpreter,
    shell_prefix,
)
from workflow_scripts.workflow.names import NAME, NETWORK
from workflow_scripts.workflow.outcome import drawn, reasons
from workflow_scripts.workflow.sessions import MOVIE_FORMATS, any_of, none_of
from workflow_scripts.workflow.sheets import short_path
from workflow_scripts.workflow.stage_options import stage_options
from workflow_scripts.workflow.study import Study
from workflow_scripts.workflow.tables import LONG, RECORD, tables

STARTED_S = time.time()
ROOT = Path(workflow.basedir)
CONFIG_FILES = sorted(
    map(Path, workflow.configfiles), key=workflow.overwrite_configfiles.__contains__
)
try:
    STUDY = Study.from_config(config, CONFIG_FILES, ROOT)
    VIST = STUDY.vist
except InputError as error:
    raise WorkflowError(str(error)) from None

# Every rule has two params: `options`, this stage's options as canonical JSON, and `code`, a hash
# of the modules it runs. Snakemake compares params as a set of values, so options are one value.
options = partial(stage_options, STUDY)
code = source_hash
session_file = STUDY.session_file
in_report = partial(report, caption="../resources/report/caption.rst")

RUNTIME = config["runtime"]
CONTAINER = RUNTIME["container"]
NETWORK_MB = growing(RUNTIME["memory_mb"]["network"])
ANALYSIS_MB = growing(RUNTIME["memory_mb"]["analysis"])
MOVIE_MB = growing(1000 + int(config["sessions"]["movies"]["memory_mb"]))
TORCH_THREADS = RUNTIME["torch"]["torch_threads"]
GPUS = int(RUNTIME["torch"]["device"] == "cuda")
DEVICES = RUNTIME["torch"]["devices"]
TRAINING_MB = growing(RUNTIME["memory_mb"]["network"] * DEVICES)
TRAINING_THREADS = TORCH_THREADS * DEVICES
TRAINING_GPUS = GPUS * DEVICES
LAUNCHER = module_launcher(RUNTIME["torch"])

prefer_this_interpreter()
shell.executable("bash")
shell.prefix(shell_prefix(ROOT))


wildcard_constraints:
    batch=r"\d+",
    network=NETWORK,
    alignment=NETWORK,
    positions=NETWORK,
    session=NAME,
    encoder=NETWORK,
    prior=NAME,
    task=NAME,
    run=NETWORK,
    scope="vist|vist_long",
    battery="|".join(config["stimuli"]["batteries"]),
