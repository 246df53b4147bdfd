# Retinal ganglion cells in natural movies. A task names the sessions, a run the encoder and seed.
FIT = "results/vist/{task}/{run}"


fit_of = lambda wildcards: VIST.fit(wildcards.task, wildcards.run)
# All figures of the shipped study or of the long one; none where there are no recordings.
vist_figures = lambda scope: (
    [
        f"results/figures/{scope}_correlation.png",
        *expand("results/figures/{scope}_rates/{task}.png", scope=scope, task=VIST.tasks(scope)),
        *([f"results/figures/{scope}_filters.png"] if VIST.probed(scope) else []),
    ]
    if VIST.fits(scope)
    else []
)


rule prior_features:
    input:
        movie=lambda wildcards: VIST.movie(wildcards.session),
        session=lambda wildcards: (
            []
            if VIST.movie(wildcards.session)
            else f"results/sessions/{wildcards.session}/session.zarr"
        ),
        model=lambda wildcards: VIST.network(wildcards.prior),
    output:
        features=directory("results/sessions/{session}/features/{prior}.zarr"),
    log:
        "results/logs/prior_features/{session}.{prior}.log",
    benchmark:
        "results/benchmarks/prior_features/{session}.{prior}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(240),
    params:
        options=options("prior_features"),
        code=code("prior_features"),
    message:
        "Show the movie of {wildcards.session} to the prior {wildcards.prior}"
    shell:
        "python -m workflow_scripts.prior_features"
        " --movie {input.movie:q} --session {input.session} --model {input.model}"
        " --features {output.features}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule train_vist:
    input:
        sessions=lambda wildcards: expand(
            "results/sessions/{session}/session.zarr",
            session=VIST.task(wildcards.task)["train"],
        ),
        features=lambda wildcards: VIST.features(fit_of(wildcards), "train"),
        start=lambda wildcards: VIST.start(fit_of(wildcards)),
    output:
        model=f"{FIT}/model.safetensors",
        config=f"{FIT}/model.json",
        metrics=f"{FIT}/metrics.jsonl",
    log:
        "results/logs/train_vist/{task}.{run}.log",
    benchmark:
        "results/benchmarks/train_vist/{task}.{run}.tsv"
    container:
        CONTAINER
    threads: TRAINING_THREADS
    resources:
        mem_mb=TRAINING_MB,
        runtime=growing(1440),
        gpu=TRAINING_GPUS,
        launcher=LAUNCHER,
    params:
        options=options("train_vist"),
        code=code("train_vist"),
    message:
        "Train {wildcards.run} on {wildcards.task}"
    shell:
        "{resources.launcher} workflow_scripts.train_vist"
        " --sessions {input.sessions} --features {input.features} --start {input.start}"
        " --model {output.model} --config {output.config} --metrics {output.metrics}"
        " --state results/vist/{wildcards.task}/{wildcards.run}/state"
        " --options {params.options:q} 2>&1 | tee {log}"


rule evaluate_vist:
    input:
        session=lambda wildcards: (
            f"results/sessions/{VIST.task(wildcards.task)['test']}/session.zarr"
        ),
        features=lambda wildcards: VIST.features(fit_of(wildcards), "test"),
        model=f"{FIT}/model.safetensors",
        config=f"{FIT}/model.json",
    output:
        cells=f"{FIT}/cells.parquet",
        statistics=f"{FIT}/statistics.json",
        predictions=directory(f"{FIT}/predictions.zarr"),
    log:
        "results/logs/evaluate_vist/{task}.{run}.log",
    benchmark:
        "results/benchmarks/evaluate_vist/{task}.{run}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(60),
    params:
        options=options("evaluate_vist"),
        code=code("evaluate_vist"),
    message:
        "Judge {wildcards.run} on {wildcards.task}"
    shell:
        "python -m workflow_scripts.evaluate_vist"
        " --session {input.session} --features {input.features}"
        " --model {input.model} --config {input.config}"
        " --cells {output.cells} --statistics {output.statistics}"
        " --predictions {output.predictions}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule probe_vist:
    input:
        session=lambda wildcards: (
            f"results/sessions/{VIST.task(wildcards.task)['train'][0]}/session.zarr"
        ),
        features=lambda wildcards: VIST.features(fit_of(wildcards), "train")[0],
        model=f"{FIT}/model.safetensors",
        config=f"{FIT}/model.json",
    output:
        probe=directory(f"{FIT}/probe.zarr"),
    log:
        "results/logs/probe_vist/{task}.{run}.log",
    benchmark:
        "results/benchmarks/probe_vist/{task}.{run}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(60),
    params:
        options=options("probe_vist"),
        code=code("probe_vist"),
    message:
        "Show flicker, gratings and dots to {wildcards.run} of {wildcards.task}"
    shell:
        "python -m workflow_scripts.probe_vist"
        " --session {input.session} --features {input.features}"
        " --model {input.model} --config {input.config} --probe {output.probe}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_vist_correlation:
    input:
        cells=lambda wildcards: [
            f"results/vist/{fit.folder}/cells.parquet" for fit in VIST.fits(wildcards.scope)
        ],
        statistics=lambda wildcards: [
            f"results/vist/{fit.folder}/statistics.json" for fit in VIST.fits(wildcards.scope)
        ],
    output:
        figure=in_report(
            "results/figures/{scope}_correlation.png",
            category="6 Encoding models",
            subcategory="retina",
            labels={"figure": "correlation", "study": "{scope}"},
        ),
        caption="results/figures/{scope}_correlation.rst",
    log:
        "results/logs/plot_vist_correlation/{scope}.log",
    benchmark:
        "results/benchmarks/plot_vist_correlation/{scope}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_vist_correlation"),
        code=code("plot_vist_correlation"),
    message:
        "Draw how well encoders predict the retina ({wildcards.scope})"
    shell:
        "python -m workflow_scripts.plot_vist_correlation"
        " --cells {input.cells} --statistics {input.statistics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_vist_rates:
    input:
        session=lambda wildcards: (
            f"results/sessions/{VIST.task(wildcards.task)['test']}/session.zarr"
        ),
        predictions=lambda wildcards: [
            f"results/vist/{fit.folder}/predictions.zarr"
            for fit in VIST.fits(wildcards.scope)
            if fit.task == wildcards.task
        ],
    output:
        figure=in_report(
            "results/figures/{scope}_rates/{task}.png",
            category="6 Encoding models",
            subcategory="retina",
            labels={"figure": "rates of {task}", "study": "{scope}"},
        ),
        caption="results/figures/{scope}_rates/{task}.rst",
    log:
        "results/logs/plot_vist_rates/{scope}.{task}.log",
    benchmark:
        "results/benchmarks/plot_vist_rates/{scope}.{task}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_vist_rates"),
        code=code("plot_vist_rates"),
    message:
        "Draw predicted and recorded rates of {wildcards.task} ({wildcards.scope})"
    shell:
        "python -m workflow_scripts.plot_vist_rates"
        " --session {input.session} --predictions {input.predictions}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_vist_filters:
    input:
        probes=lambda wildcards: [
            f"results/vist/{fit.folder}/probe.zarr" for fit in VIST.probed(wildcards.scope)
        ],
    output:
        figure=in_report(
            "results/figures/{scope}_filters.png",
            category="6 Encoding models",
            subcategory="retina",
            labels={"figure": "filters and tuning in silico", "study": "{scope}"},
        ),
        caption="results/figures/{scope}_filters.rst",
    log:
        "results/logs/plot_vist_filters/{scope}.log",
    benchmark:
        "results/benchmarks/plot_vist_filters/{scope}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_vist_filters"),
        code=code("plot_vist_filters"),
    message:
        "Draw temporal filters and tuning of trained retinas ({wildcards.scope})"
    shell:
        "python -m workflow_scripts.plot_vist_filters"
        " --probes {input.probes}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
