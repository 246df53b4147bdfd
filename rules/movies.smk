# make movies: maps that form in training, and sheets that respond to a grating.
FILMED_POSITIONS = expand(
    "results/positions/{positions}.zarr", positions=[one.positions for one in STUDY.filmed]
)


rule stimulate_snapshot:
    input:
        snapshots="results/tdann/{network}/snapshots",
        config="results/tdann/{network}/model.json",
        battery="results/in_silico/few_gratings.parquet",
    output:
        responses=directory("results/movies/training/{network}/step_{step}.zarr"),
    log:
        "results/logs/stimulate_snapshot/{network}.step_{step}.log",
    benchmark:
        "results/benchmarks/stimulate_snapshot/{network}.step_{step}.tsv"
    wildcard_constraints:
        step=r"\d+",
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(30),
        gpu=GPUS,
    params:
        options=options("stimulate"),
        code=code("stimulate"),
    message:
        "Show gratings to the network {wildcards.network} as it was after {wildcards.step} steps"
    shell:
        "python -m workflow_scripts.stimulate"
        " --model {input.snapshots}/step_{wildcards.step}.safetensors --config {input.config}"
        " --battery {input.battery} --natural --responses {output.responses}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule film_training:
    input:
        responses=[
            f"results/movies/training/{one.network}/step_{step}.zarr"
            for one in STUDY.filmed
            for step in STUDY.snapshots(one.network)
        ],
        positions=FILMED_POSITIONS,
    output:
        film=in_report("results/movies/training.mp4", category="4 Maps"),
        caption="results/movies/training.rst",
    log:
        "results/logs/film_training.log",
    benchmark:
        "results/benchmarks/film_training.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("film_training"),
        code=code("film_training"),
    message:
        "Film the maps as they form in training"
    shell:
        "python -m workflow_scripts.film_training"
        " --responses {input.responses} --positions {input.positions}"
        " --film {output.film} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule film_gratings:
    input:
        gratings=expand(
            "results/in_silico/{network}/gratings.zarr",
            network=[one.network for one in STUDY.filmed],
        ),
        positions=FILMED_POSITIONS,
    output:
        film=in_report("results/movies/gratings.mp4", category="4 Maps"),
        caption="results/movies/gratings.rst",
    log:
        "results/logs/film_gratings.log",
    benchmark:
        "results/benchmarks/film_gratings.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("film_gratings"),
        code=code("film_gratings"),
    message:
        "Film the sheets' activity beside a drifting grating"
    shell:
        "python -m workflow_scripts.film_gratings"
        " --gratings {input.gratings} --positions {input.positions}"
        " --film {output.film} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
