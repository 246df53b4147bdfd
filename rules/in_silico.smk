NATURAL_CLIPS = [
    "results/videos/clips.parquet",
    *expand("results/videos/batch_{batch}.zarr", batch=STUDY.batches),
]


rule make_battery:
    output:
        battery="results/in_silico/{battery}.parquet",
    log:
        "results/logs/make_battery/{battery}.log",
    benchmark:
        "results/benchmarks/make_battery/{battery}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        options=options("make_battery"),
        code=code("make_battery"),
    message:
        "List the stimuli of the battery of {wildcards.battery}"
    shell:
        "python -m workflow_scripts.make_battery --battery {output.battery}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule make_cascade:
    output:
        model="results/tdann/cascade_s0/model.safetensors",
        config="results/tdann/cascade_s0/model.json",
    log:
        "results/logs/make_cascade.log",
    benchmark:
        "results/benchmarks/make_cascade.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        options=options("make_cascade"),
        code=code("make_cascade"),
    message:
        "Make the fixed cascade of V1 and MT"
    shell:
        "python -m workflow_scripts.make_cascade"
        " --model {output.model} --config {output.config}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule stimulate:
    input:
        model="results/tdann/{network}/model.safetensors",
        config="results/tdann/{network}/model.json",
        battery="results/in_silico/{battery}.parquet",
        natural=lambda wildcards: (
            NATURAL_CLIPS if STUDY.shows_natural_clips(wildcards.battery) else []
        ),
    output:
        responses=directory("results/in_silico/{network}/{battery}.zarr"),
    log:
        "results/logs/stimulate/{network}.{battery}.log",
    benchmark:
        "results/benchmarks/stimulate/{network}.{battery}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(120),
        gpu=GPUS,
    params:
        options=options("stimulate"),
        code=code("stimulate"),
    message:
        "Show {wildcards.battery} to the network {wildcards.network}"
    shell:
        "python -m workflow_scripts.stimulate"
        " --model {input.model} --config {input.config} --battery {input.battery}"
        " --natural {input.natural}"
        " --responses {output.responses}"
        " --options {params.options:q} 2>&1 | tee {log}"
