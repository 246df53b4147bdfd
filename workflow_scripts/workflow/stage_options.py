"""The options of each stage, from the config: one function per stage, named as the stage.

Each returns what its stage's options dataclass takes, and nothing that the stage does not use: what
stands here decides what reruns.
"""

from __future__ import annotations

from collections.abc import Callable

from workflow_scripts.workflow.configuration import canonical_json
from workflow_scripts.workflow.options import (
    alignment,
    encoders,
    maps,
    provenance,
    recordings,
    retina,
    tables,
)
from workflow_scripts.workflow.options.common import Builder, Wildcards
from workflow_scripts.workflow.study import Study

_BUILDERS: dict[str, Builder] = {
    **recordings.BUILDERS,
    **maps.BUILDERS,
    **encoders.BUILDERS,
    **retina.BUILDERS,
    **alignment.BUILDERS,
    **provenance.BUILDERS,
    **tables.BUILDERS,
}
STAGES = tuple(_BUILDERS)


def stage_options(study: Study, stage: str) -> Callable[[Wildcards], str]:
    """Make the `options` param of a rule.

    Parameters
    ----------
    study : Study
        The configured study.
    stage : str
        Name of the stage, its rule and its module.

    Returns
    -------
    Callable[[Wildcards], str]
        From a job's wildcards to its options as canonical JSON.
    """
    build = _BUILDERS[stage]
    return lambda wildcards: canonical_json(build(study, dict(wildcards.items())))
