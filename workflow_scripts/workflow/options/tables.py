"""Options of the sortable tables."""

from __future__ import annotations

from workflow_scripts.workflow.options.common import Builder, Options, Wildcards
from workflow_scripts.workflow.study import Study
from workflow_scripts.workflow.tables import tables


def tabulate(study: Study, wildcards: Wildcards) -> Options:
    """Which table, and the models that it compares."""
    table = wildcards["table"]
    return {"table": table, "names": tables(study)[table].names}


BUILDERS: dict[str, Builder] = {"tabulate": tabulate}
