from pathlib import Path

from snakemake.utils import min_version

min_version("9.27.1")


configfile: Path(workflow.basedir) / "config.yaml"


report: "resources/report/study.rst"


include: "rules/common.smk"
include: "rules/recordings.smk"
include: "rules/sessions.smk"
include: "rules/train.smk"
include: "rules/in_silico.smk"
include: "rules/analyse.smk"
include: "rules/v1t.smk"
include: "rules/figures.smk"


rule all:
    default_target: True
    input:
        expand("results/figures/{figure}.png", figure=FIGURES),
        SESSION_FIGURES,
        ENCODER_FIGURES,
        "results/summary.json",


rule sessions:
    input:
        SESSION_FIGURES,


rule encoders:
    input:
        ENCODER_FIGURES,
