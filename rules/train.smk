# The networks are the critical path: training and what it waits for come before all else (priority).


rule train_tdann:
    input:
        clips="results/videos/clips.parquet",
        batches=expand("results/videos/batch_{batch}.zarr", batch=STUDY.batches),
        positions=lambda wildcards: expand(
            "results/positions/{positions}.zarr",
            positions=STUDY.positions_of(wildcards.network),
        ),
        start=lambda wildcards: expand(
            "results/tdann/{network}/model.safetensors",
            network=STUDY.start_of(wildcards.network),
        ),
    output:
        model="results/tdann/{network}/model.safetensors",
        config="results/tdann/{network}/model.json",
        metrics="results/tdann/{network}/metrics.jsonl",
        snapshots=directory("results/tdann/{network}/snapshots"),
    log:
        "results/logs/train_tdann/{network}.log",
    benchmark:
        "results/benchmarks/train_tdann/{network}.tsv"
    wildcard_constraints:
        network=rf"(?!{CASCADE}_s){NETWORK}",
    priority: 1
    container:
        CONTAINER
    threads: TRAINING_THREADS
    resources:
        mem_mb=TRAINING_MB,
        runtime=growing(1440),
        gpu=TRAINING_GPUS,
        launcher=LAUNCHER,
    params:
        options=options("train_tdann"),
        code=code("train_tdann"),
    message:
        "Train the network {wildcards.network}"
    shell:
        "{resources.launcher} workflow_scripts.train_tdann"
        " --clips {input.clips} --batches {input.batches}"
        " --positions {input.positions} --start {input.start}"
        " --model {output.model} --config {output.config} --metrics {output.metrics}"
        " --snapshots {output.snapshots}"
        " --state results/tdann/{wildcards.network}/state"
        " --options {params.options:q} 2>&1 | tee {log}"


rule place_units:
    input:
        clips="results/videos/clips.parquet",
        batches=expand("results/videos/batch_{batch}.zarr", batch=STUDY.batches),
        model=lambda wildcards: f"results/tdann/{STUDY.source_of(wildcards.positions)}/model.safetensors",
        config=lambda wildcards: f"results/tdann/{STUDY.source_of(wildcards.positions)}/model.json",
        gratings=lambda wildcards: expand(
            "results/in_silico/{network}/gratings.zarr",
            network=STUDY.gratings_of(wildcards.positions),
        ),
    output:
        positions=directory("results/positions/{positions}.zarr"),
    log:
        "results/logs/place_units/{positions}.log",
    benchmark:
        "results/benchmarks/place_units/{positions}.tsv"
    priority: 1
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(240),
        gpu=GPUS,
    params:
        options=options("place_units"),
        code=code("place_units"),
    message:
        "Place units on the cortical sheets: {wildcards.positions}"
    shell:
        "python -m workflow_scripts.place_units"
        " --clips {input.clips} --batches {input.batches}"
        " --model {input.model} --config {input.config} --gratings {input.gratings}"
        " --positions {output.positions}"
        " --options {params.options:q} 2>&1 | tee {log}"
