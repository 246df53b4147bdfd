"""Options of the record of a study: its config, methods and formats, and whose data it uses."""

from __future__ import annotations

from collections import defaultdict

from workflow_scripts.workflow.options.common import Builder, Options, Wildcards
from workflow_scripts.workflow.study import Study

LISTED = 10  # names; of more data from one source only their number is told


def record_provenance(study: Study, _wildcards: Wildcards) -> Options:
    """The whole config, and whom the study owes its methods and data to."""
    return {"config": study.config, "sources": _sources(study), "uses": _uses(study)}


def _uses(study: Study) -> list[str]:
    """Name the methods and formats in use, as `used_by` of resources/citations.tsv does."""
    encoders = study.encoders
    methods = {
        "workflow": True,
        "tdann": bool(study.networks),
        "v1t": bool(encoders.compared or encoders.cross_validated),
        "vist": bool(study.vist.fits("vist")),
        "dina": bool(study.alignments),
    }
    formats = {session.format for session in study.sessions.values()}
    return [*(method for method, used in methods.items() if used), *sorted(formats)]


def _sources(study: Study) -> list[dict[str, str]]:
    """List kind, names, licence and source of the videos and recordings, one row per source."""
    names: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for batch in study.batches.values():
        for video in batch:
            names["video", video.licence, video.source].append(video.video_id)
    for session in study.sessions.values():
        licence, source = (str(session.fields.get(one, "")) for one in ("licence", "source"))
        names[session.format, licence, source].append(session.session_id)
    return [
        {
            "kind": kind,
            "names": ", ".join(own) if len(own) <= LISTED else f"{len(own)} of them",
            "licence": licence,
            "source": source,
        }
        for (kind, licence, source), own in names.items()
    ]


BUILDERS: dict[str, Builder] = {"record_provenance": record_provenance}
