FIGURES = [
    "clips",
    "training",
    "direction_map",
    "tuning_curves",
    "selectivity",
    "smoothness",
    "dots",
    "stimuli",
    "physiology",
    "in_vivo",
]
MAPS = [f"results/maps/{m.network}_on_{m.positions}" for m in STUDY.maps]
MAP_STORES = expand("{map}/map.zarr", map=MAPS)
MAP_PINWHEELS = expand("{map}/pinwheels.parquet", map=MAPS)
MAP_SMOOTHNESS = expand("{map}/smoothness.parquet", map=MAPS)
MAP_STATISTICS = expand("{map}/statistics.json", map=MAPS)
# Each once, in the order of the maps.
MAP_NETWORKS = list(dict.fromkeys(m.network for m in STUDY.maps))
MAP_POSITIONS = list(dict.fromkeys(m.positions for m in STUDY.maps))
SHOWN = ["gratings", "dots", *config["physiology"]["batteries"]]


rule plot_clips:
    input:
        clips="results/videos/clips.parquet",
        batches=expand("results/videos/batch_{batch}.zarr", batch=STUDY.batches),
    output:
        figure=in_report("results/figures/clips.png", category="2 Natural video"),
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
        figure=in_report("results/figures/training.png", category="3 Training"),
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
        figure=in_report("results/figures/direction_map.png", category="4 Maps"),
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


rule explore_maps:
    input:
        maps=MAP_STORES,
        pinwheels=MAP_PINWHEELS,
        positions=expand("results/positions/{positions}.zarr", positions=MAP_POSITIONS),
        tuning=expand("results/tuning/{network}.parquet", network=MAP_NETWORKS),
        gratings=expand("results/in_silico/{network}/gratings.zarr", network=MAP_NETWORKS),
        physiology=expand("results/physiology/{network}.parquet", network=STUDY.explored_physiology),
        config=f"results/tdann/{MAP_NETWORKS[0]}/model.json",
    output:
        page=in_report("results/explorer.html", category="4 Maps"),
        caption="results/explorer.rst",
    log:
        "results/logs/explore_maps.log",
    benchmark:
        "results/benchmarks/explore_maps.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("explore_maps"),
        code=code("explore_maps"),
    message:
        "Write the page that shows every unit of the maps"
    shell:
        "python -m workflow_scripts.explore_maps"
        " --maps {input.maps} --pinwheels {input.pinwheels} --positions {input.positions}"
        " --tuning {input.tuning} --gratings {input.gratings}"
        " --physiology {input.physiology} --config {input.config}"
        " --page {output.page} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_tuning_curves:
    input:
        gratings=expand("results/in_silico/{network}/gratings.zarr", network=STUDY.networks),
        tuning=expand("results/tuning/{network}.parquet", network=STUDY.networks),
    output:
        figure=in_report("results/figures/tuning_curves.png", category="5 Physiology"),
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
        figure=in_report("results/figures/selectivity.png", category="5 Physiology"),
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
        figure=in_report("results/figures/smoothness.png", category="4 Maps"),
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
        figure=in_report("results/figures/dots.png", category="5 Physiology"),
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


rule plot_stimuli:
    input:
        batteries=expand("results/in_silico/{battery}.parquet", battery=SHOWN),
        natural=NATURAL_CLIPS if any(map(STUDY.shows_natural_clips, SHOWN)) else [],
    output:
        figure=in_report("results/figures/stimuli.png", category="5 Physiology"),
        caption="results/figures/stimuli.rst",
    log:
        "results/logs/plot_stimuli.log",
    benchmark:
        "results/benchmarks/plot_stimuli.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_stimuli"),
        code=code("plot_stimuli"),
    message:
        "Draw the stimuli"
    shell:
        "python -m workflow_scripts.plot_stimuli"
        " --batteries {input.batteries} --natural {input.natural}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_physiology:
    input:
        physiology=expand("results/physiology/{network}.parquet", network=STUDY.physiology_networks),
    output:
        figure=in_report("results/figures/physiology.png", category="5 Physiology"),
        caption="results/figures/physiology.rst",
    log:
        "results/logs/plot_physiology.log",
    benchmark:
        "results/benchmarks/plot_physiology.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_physiology"),
        code=code("plot_physiology"),
    message:
        "Draw the physiology of the channels"
    shell:
        "python -m workflow_scripts.plot_physiology"
        " --physiology {input.physiology}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_in_vivo:
    input:
        comparison="results/in_vivo.parquet",
    output:
        figure=in_report("results/figures/in_vivo.png", category="5 Physiology"),
        caption="results/figures/in_vivo.rst",
    log:
        "results/logs/plot_in_vivo.log",
    benchmark:
        "results/benchmarks/plot_in_vivo.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_in_vivo"),
        code=code("plot_in_vivo"),
    message:
        "Draw the networks beside values measured in vivo"
    shell:
        "python -m workflow_scripts.plot_in_vivo"
        " --comparison {input.comparison}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_tradeoff:
    input:
        tradeoff="results/tradeoff.parquet",
    output:
        figure=in_report("results/figures/tradeoff.png", category="4 Maps"),
        caption="results/figures/tradeoff.rst",
    log:
        "results/logs/plot_tradeoff.log",
    benchmark:
        "results/benchmarks/plot_tradeoff.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_tradeoff"),
        code=code("plot_tradeoff"),
    message:
        "Draw the trade-off"
    shell:
        "python -m workflow_scripts.plot_tradeoff"
        " --tradeoff {input.tradeoff}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
