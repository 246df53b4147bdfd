"""Options of the record of a study: its config, methods and formats, and whose data it uses."""

from __future__ import annotations

from collections import Counter, defaultdict

from workflow_scripts.workflow.options.common import Builder, Options, Wildcards
from workflow_scripts.workflow.study import Study

LISTED = 10  # more names or sources than this are counted: a command line has to hold them


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
    n_sources = Counter((kind, licence) for kind, licence, _ in names)
    merged: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (kind, licence, source), own in names.items():
        many = n_sources[kind, licence] > LISTED
        merged[kind, licence, "as in the sheet" if many else source] += own
    return [
        {
            "kind": kind,
            "names": ", ".join(own) if len(own) <= LISTED else f"{len(own)} of them",
            "licence": licence,
            "source": source,
        }
        for (kind, licence, source), own in merged.items()
    ]


BUILDERS: dict[str, Builder] = {"record_provenance": record_provenance}
