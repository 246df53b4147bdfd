rule measure_tuning:
    input:
        gratings="results/in_silico/{network}/gratings.zarr",
        dots="results/in_silico/{network}/dots.zarr",
    output:
        tuning="results/tuning/{network}.parquet",
    log:
        "results/logs/measure_tuning/{network}.log",
    benchmark:
        "results/benchmarks/measure_tuning/{network}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(60),
    params:
        options=options("measure_tuning"),
        code=code("measure_tuning"),
    message:
        "Measure the tuning of the units of {wildcards.network}"
    shell:
        "python -m workflow_scripts.measure_tuning"
        " --gratings {input.gratings} --dots {input.dots} --tuning {output.tuning}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule measure_physiology:
    input:
        responses=expand(
            "results/in_silico/{{network}}/{battery}.zarr",
            battery=config["physiology"]["batteries"],
        ),
    output:
        physiology="results/physiology/{network}.parquet",
    log:
        "results/logs/measure_physiology/{network}.log",
    benchmark:
        "results/benchmarks/measure_physiology/{network}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(60),
    params:
        options=options("measure_physiology"),
        code=code("measure_physiology"),
    message:
        "Measure the physiology of {wildcards.network}"
    shell:
        "python -m workflow_scripts.measure_physiology"
        " --responses {input.responses} --physiology {output.physiology} 2>&1 | tee {log}"


rule measure_map:
    input:
        tuning="results/tuning/{network}.parquet",
        positions="results/positions/{positions}.zarr",
    output:
        map=directory("results/maps/{network}_on_{positions}/map.zarr"),
        pinwheels="results/maps/{network}_on_{positions}/pinwheels.parquet",
        smoothness="results/maps/{network}_on_{positions}/smoothness.parquet",
        statistics="results/maps/{network}_on_{positions}/statistics.json",
    log:
        "results/logs/measure_map/{network}_on_{positions}.log",
    benchmark:
        "results/benchmarks/measure_map/{network}_on_{positions}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(60),
    params:
        options=options("measure_map"),
        code=code("measure_map"),
    message:
        "Measure the map of {wildcards.network} on the positions {wildcards.positions}"
    shell:
        "python -m workflow_scripts.measure_map"
        " --tuning {input.tuning} --positions {input.positions}"
        " --map_store {output.map} --pinwheels {output.pinwheels}"
        " --smoothness {output.smoothness} --statistics {output.statistics}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule summarise:
    input:
        statistics=[
            f"results/maps/{m.network}_on_{m.positions}/statistics.json" for m in STUDY.maps
        ],
        tuning=expand("results/tuning/{network}.parquet", network=STUDY.networks),
        metrics=expand("results/tdann/{network}/metrics.jsonl", network=STUDY.networks),
    output:
        summary="results/summary.json",
    log:
        "results/logs/summarise.log",
    benchmark:
        "results/benchmarks/summarise.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        options=options("summarise"),
        code=code("summarise"),
    message:
        "Summarise the study"
    shell:
        "python -m workflow_scripts.summarise"
        " --statistics {input.statistics} --tuning {input.tuning} --metrics {input.metrics}"
        " --summary {output.summary} --options {params.options:q} 2>&1 | tee {log}"


rule compare_in_vivo:
    input:
        references=short_path(ROOT / "resources/in_vivo_mt.csv"),
        tuning=expand("results/tuning/{network}.parquet", network=STUDY.networks),
        physiology=expand("results/physiology/{network}.parquet", network=STUDY.physiology_networks),
        cells=expand("results/sessions/{session}/tuning.parquet", session=TUNED),
    output:
        comparison="results/in_vivo.parquet",
    log:
        "results/logs/compare_in_vivo.log",
    benchmark:
        "results/benchmarks/compare_in_vivo.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("compare_in_vivo"),
        code=code("compare_in_vivo"),
    message:
        "Put the networks beside values measured in vivo"
    shell:
        "python -m workflow_scripts.compare_in_vivo"
        " --references {input.references:q} --tuning {input.tuning}"
        " --physiology {input.physiology} --cells {input.cells}"
        " --comparison {output.comparison}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule measure_tradeoff:
    input:
        tuning=[f"results/tuning/{point.network}.parquet" for point in STUDY.sweep],
        statistics=[
            f"results/maps/{point.network}_on_{point.positions}/statistics.json"
            for point in STUDY.sweep
        ],
        metrics=[f"results/tdann/{point.network}/metrics.jsonl" for point in STUDY.sweep],
    output:
        tradeoff="results/tradeoff.parquet",
    log:
        "results/logs/measure_tradeoff.log",
    benchmark:
        "results/benchmarks/measure_tradeoff.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("measure_tradeoff"),
        code=code("measure_tradeoff"),
    message:
        "Gather the outcomes of the sweep"
    shell:
        "python -m workflow_scripts.measure_tradeoff"
        " --tuning {input.tuning} --statistics {input.statistics} --metrics {input.metrics}"
        " --tradeoff {output.tradeoff}"
        " --options {params.options:q} 2>&1 | tee {log}"
