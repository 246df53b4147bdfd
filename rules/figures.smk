FIGURES = [
    "clips",
    "training",
    "direction_map",
    "tuning_curves",
    "selectivity",
    "smoothness",
    "dots",
]
MAPS = [f"results/maps/{m.network}_on_{m.positions}" for m in STUDY.maps]
MAP_STORES = expand("{map}/map.zarr", map=MAPS)
MAP_PINWHEELS = expand("{map}/pinwheels.parquet", map=MAPS)
MAP_SMOOTHNESS = expand("{map}/smoothness.parquet", map=MAPS)
MAP_STATISTICS = expand("{map}/statistics.json", map=MAPS)


rule plot_clips:
    input:
        clips="results/videos/clips.parquet",
        batches=expand("results/videos/batch_{batch}.zarr", batch=STUDY.batches),
    output:
        figure=report(
            "results/figures/clips.png",
            caption="../resources/report/caption.rst",
            category="2 Natural video",
        ),
        caption="results/figures/clips.rst",
    log:
        "results/logs/plot_clips.log",
    benchmark:
        "results/benchmarks/plot_clips.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_clips"),
        code=code("plot_clips"),
    message:
        "Draw clips and their motion statistics"
    shell:
        "python -m workflow_scripts.plot_clips"
        " --clips {input.clips} --batches {input.batches}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_training:
    input:
        metrics=expand("results/tdann/{network}/metrics.jsonl", network=STUDY.networks),
    output:
        figure=report(
            "results/figures/training.png",
            caption="../resources/report/caption.rst",
            category="3 Training",
        ),
        caption="results/figures/training.rst",
    log:
        "results/logs/plot_training.log",
    benchmark:
        "results/benchmarks/plot_training.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_training"),
        code=code("plot_training"),
    message:
        "Draw the training curves"
    shell:
        "python -m workflow_scripts.plot_training"
        " --metrics {input.metrics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_direction_map:
    input:
        maps=MAP_STORES,
        pinwheels=MAP_PINWHEELS,
        statistics=MAP_STATISTICS,
    output:
        figure=report(
            "results/figures/direction_map.png",
            caption="../resources/report/caption.rst",
            category="4 Maps",
        ),
        caption="results/figures/direction_map.rst",
    log:
        "results/logs/plot_direction_map.log",
    benchmark:
        "results/benchmarks/plot_direction_map.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_direction_map"),
        code=code("plot_direction_map"),
    message:
        "Draw the direction map"
    shell:
        "python -m workflow_scripts.plot_direction_map"
        " --maps {input.maps} --pinwheels {input.pinwheels} --statistics {input.statistics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_tuning_curves:
    input:
        gratings=expand("results/in_silico/{network}/gratings.zarr", network=STUDY.networks),
        tuning=expand("results/tuning/{network}.parquet", network=STUDY.networks),
    output:
        figure=report(
            "results/figures/tuning_curves.png",
            caption="../resources/report/caption.rst",
            category="5 Tuning",
        ),
        caption="results/figures/tuning_curves.rst",
    log:
        "results/logs/plot_tuning_curves.log",
    benchmark:
        "results/benchmarks/plot_tuning_curves.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_tuning_curves"),
        code=code("plot_tuning_curves"),
    message:
        "Draw the tuning curves of example units"
    shell:
        "python -m workflow_scripts.plot_tuning_curves"
        " --gratings {input.gratings} --tuning {input.tuning}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_selectivity:
    input:
        tuning=expand("results/tuning/{network}.parquet", network=STUDY.networks),
    output:
        figure=report(
            "results/figures/selectivity.png",
            caption="../resources/report/caption.rst",
            category="5 Tuning",
        ),
        caption="results/figures/selectivity.rst",
    log:
        "results/logs/plot_selectivity.log",
    benchmark:
        "results/benchmarks/plot_selectivity.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_selectivity"),
        code=code("plot_selectivity"),
    message:
        "Draw the distributions of selectivity"
    shell:
        "python -m workflow_scripts.plot_selectivity"
        " --tuning {input.tuning}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_smoothness:
    input:
        smoothness=MAP_SMOOTHNESS,
        statistics=MAP_STATISTICS,
    output:
        figure=report(
            "results/figures/smoothness.png",
            caption="../resources/report/caption.rst",
            category="4 Maps",
        ),
        caption="results/figures/smoothness.rst",
    log:
        "results/logs/plot_smoothness.log",
    benchmark:
        "results/benchmarks/plot_smoothness.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_smoothness"),
        code=code("plot_smoothness"),
    message:
        "Draw how preferences change over the cortical sheet"
    shell:
        "python -m workflow_scripts.plot_smoothness"
        " --smoothness {input.smoothness} --statistics {input.statistics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_dots:
    input:
        tuning=expand("results/tuning/{network}.parquet", network=STUDY.networks),
    output:
        figure=report(
            "results/figures/dots.png",
            caption="../resources/report/caption.rst",
            category="5 Tuning",
        ),
        caption="results/figures/dots.rst",
    log:
        "results/logs/plot_dots.log",
    benchmark:
        "results/benchmarks/plot_dots.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_dots"),
        code=code("plot_dots"),
    message:
        "Draw responses to random dots against coherence"
    shell:
        "python -m workflow_scripts.plot_dots"
        " --tuning {input.tuning}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
