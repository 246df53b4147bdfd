"""The sortable tables of a study: what each is made of, and where it stands in the report.

What is switched off in the config has no table.
"""

from __future__ import annotations

from typing import NamedTuple

from workflow_scripts.workflow.study import Study

SUMMARY, RECORD = "results/summary.json", "results/provenance.json"
IN_VIVO = "results/in_vivo.parquet"
LONG = "vist_long"  # made by `make vist-long` alone


class TableName(NamedTuple):
    """One table.

    `names` are those of the records that are compared, none where one record holds them all;
    `subcategory` is None where the chapter has none.
    """

    chapter: str
    records: list[str]
    names: list[str]
    subcategory: str | None = None

    @classmethod
    def of(cls, path: str, names: list[str], chapter: str, subcategory: str) -> TableName:
        """Make a table of one record for each name."""
        return cls(chapter, [path.format(name) for name in names], names, subcategory)


def tables(study: Study) -> dict[str, TableName]:
    """List all tables by name.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict of str to TableName
    """
    encoders, fits = study.encoders, "results/vist/{}/statistics.json"
    cross_validated = [f"{one.encoder}/on_{one.session}" for one in encoders.cross_validated]
    models, encoded = "6 Encoding models", "results/encoders/{}/statistics.json"
    compared = {
        "encoders": TableName.of(encoded, encoders.compared, models, "V1"),
        "cross_validated": TableName.of(encoded, cross_validated, models, "V1"),
        **{
            scope: TableName.of(
                fits, [fit.folder for fit in study.vist.fits(scope)], models, "retina"
            )
            for scope in ("vist", LONG)
        },
        "decoding": TableName.of(
            "results/dina/{}/decoding.json",
            study.alignments,
            "7 Images and responses aligned",
            "all alignments",
        ),
    }
    return {
        "training": TableName("3 Training", [SUMMARY], []),
        "verdicts": TableName("4 Maps", [SUMMARY], []),
        "maps": TableName("4 Maps", [SUMMARY], []),
        "tuning": TableName("5 Physiology", [SUMMARY], []),
        "in_vivo": TableName("5 Physiology", [IN_VIVO], []),
        **{name: one for name, one in compared.items() if one.names},
        "performance": TableName("8 Performance", [RECORD], []),
        "provenance": TableName("9 Provenance", [RECORD], []),
    }
