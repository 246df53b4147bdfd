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
