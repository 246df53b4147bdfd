from pathlib import Path

from snakemake.utils import min_version

min_version("9.27.1")


configfile: Path(workflow.basedir) / "config.yaml"


report: "resources/report/study.rst"


include: "rules/common.smk"
include: "rules/recordings.smk"
include: "rules/sessions.smk"
include: "rules/two_photon.smk"
include: "rules/train.smk"
include: "rules/dina.smk"
include: "rules/in_silico.smk"
include: "rules/analyse.smk"
include: "rules/v1t.smk"
include: "rules/vist.smk"
include: "rules/figures.smk"
include: "rules/movies.smk"
include: "rules/tables.smk"
include: "rules/provenance.smk"


rule all:
    default_target: True
    input:
        expand("results/figures/{figure}.png", figure=FIGURES),
        SESSION_FIGURES,
        DINA_FIGURES,
        ENCODER_FIGURES,
        vist_figures("vist"),
        "results/explorer.html",
        "results/summary.json",
        TABLE_PAGES,
        PROVENANCE,


rule sessions:
    input:
        SESSION_FIGURES,


rule dina:
    input:
        DINA_FIGURES,


rule dina_long:
    input:
        expand(
            DINA_FIGURE,
            alignment=expand(
                "{variant}_s{seed}",
                variant=config["dina"]["variants"],
                seed=config["dina"]["seeds"],
            ),
        ),


rule movies:
    input:
        "results/movies/training.mp4",
        "results/movies/gratings.mp4",


rule sweep:
    input:
        "results/figures/tradeoff.png",


rule vist_long:
    input:
        vist_figures("vist_long"),
        f"results/tables/{LONG}.html" if LONG in TABLES else [],


rule encoders:
    input:
        ENCODER_FIGURES,


onsuccess:
    print(drawn(Path("results/figures"), STARTED_S))


onerror:
    print(reasons(log), file=sys.stderr)
