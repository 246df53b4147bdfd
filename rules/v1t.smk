# Encoders of recorded neurons: V1T and its baselines.

ENCODERS = STUDY.encoders
ENCODER_FIGURES = [
    *expand(
        "results/figures/{figure}.png",
        figure=(
            ["encoders", "encoder_predictions", "attention", "twins"] if ENCODERS.compared else []
        ),
    ),
    *(["results/figures/cross_validated.png"] if ENCODERS.cross_validated else []),
]
CROSS_VALIDATED = [
    f"results/encoders/{one.encoder}/on_{one.session}" for one in ENCODERS.cross_validated
]


encoder_sessions = lambda wildcards: expand(
    "results/sessions/{session}/session.zarr",
    session=ENCODERS.sessions_of(wildcards.encoder),
)


rule train_encoder:
    input:
        sessions=encoder_sessions,
    output:
        model="results/encoders/{encoder}/model.safetensors",
        config="results/encoders/{encoder}/model.json",
        metrics="results/encoders/{encoder}/metrics.jsonl",
    log:
        "results/logs/train_encoder/{encoder}.log",
    benchmark:
        "results/benchmarks/train_encoder/{encoder}.tsv"
    wildcard_constraints:
        encoder=rf"(?!({any_of(ENCODERS.added)})/){NETWORK}",
    priority: 1
    container:
        CONTAINER
    threads: TRAINING_THREADS
    resources:
        mem_mb=TRAINING_MB,
        runtime=growing(2880),
        gpu=TRAINING_GPUS,
        launcher=LAUNCHER,
    params:
        options=options("train_encoder"),
        code=code("train_encoder"),
    message:
        "Train the encoder {wildcards.encoder}"
    shell:
        "{resources.launcher} workflow_scripts.train_encoder"
        " --sessions {input.sessions} --model {output.model} --config {output.config}"
        " --metrics {output.metrics} --state results/encoders/{wildcards.encoder}/state"
        " --options {params.options:q} 2>&1 | tee {log}"


rule add_mouse:
    input:
        sessions=encoder_sessions,
        core=lambda wildcards: expand(
            "results/encoders/{encoder}/model.safetensors",
            encoder=ENCODERS.core_of(wildcards.encoder),
        ),
        core_config=lambda wildcards: expand(
            "results/encoders/{encoder}/model.json", encoder=ENCODERS.core_of(wildcards.encoder)
        ),
    output:
        model="results/encoders/{encoder}/model.safetensors",
        config="results/encoders/{encoder}/model.json",
        metrics="results/encoders/{encoder}/metrics.jsonl",
    log:
        "results/logs/add_mouse/{encoder}.log",
    benchmark:
        "results/benchmarks/add_mouse/{encoder}.tsv"
    wildcard_constraints:
        encoder=any_of(ENCODERS.added),
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
        options=options("add_mouse"),
        code=code("add_mouse"),
    message:
        "Add mice to a trained core: {wildcards.encoder}"
    shell:
        "{resources.launcher} workflow_scripts.add_mouse"
        " --sessions {input.sessions} --core {input.core} --core_config {input.core_config}"
        " --model {output.model} --config {output.config}"
        " --metrics {output.metrics} --state results/encoders/{wildcards.encoder}/state"
        " --options {params.options:q} 2>&1 | tee {log}"


rule cross_validate_encoder:
    input:
        session="results/sessions/{session}/session.zarr",
    output:
        units="results/encoders/{encoder}/on_{session}/units.parquet",
        statistics="results/encoders/{encoder}/on_{session}/statistics.json",
        predictions=directory("results/encoders/{encoder}/on_{session}/predictions.zarr"),
    log:
        "results/logs/cross_validate_encoder/{encoder}_on_{session}.log",
    benchmark:
        "results/benchmarks/cross_validate_encoder/{encoder}_on_{session}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(1440),
        gpu=GPUS,
    params:
        options=options("cross_validate_encoder"),
        code=code("cross_validate_encoder"),
    message:
        "Predict every trial of {wildcards.session} by {wildcards.encoder}"
    shell:
        "python -m workflow_scripts.cross_validate_encoder"
        " --session {input.session} --units {output.units} --statistics {output.statistics}"
        " --predictions {output.predictions}"
        " --state results/encoders/{wildcards.encoder}/on_{wildcards.session}/state"
        " --options {params.options:q} 2>&1 | tee {log}"


rule evaluate_encoder:
    input:
        sessions=encoder_sessions,
        model="results/encoders/{encoder}/model.safetensors",
        config="results/encoders/{encoder}/model.json",
    output:
        units="results/encoders/{encoder}/units.parquet",
        statistics="results/encoders/{encoder}/statistics.json",
        predictions=directory("results/encoders/{encoder}/predictions.zarr"),
    log:
        "results/logs/evaluate_encoder/{encoder}.log",
    benchmark:
        "results/benchmarks/evaluate_encoder/{encoder}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(60),
        gpu=GPUS,
    params:
        options=options("evaluate_encoder"),
        code=code("evaluate_encoder"),
    message:
        "Predict held-out trials by {wildcards.encoder}"
    shell:
        "python -m workflow_scripts.evaluate_encoder"
        " --sessions {input.sessions} --model {input.model} --config {input.config}"
        " --units {output.units} --statistics {output.statistics} --predictions {output.predictions}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule stimulate_encoder:
    input:
        sessions=encoder_sessions,
        model="results/encoders/{encoder}/model.safetensors",
        config="results/encoders/{encoder}/model.json",
        battery="results/in_silico/static_gratings.parquet",
    output:
        responses=directory("results/encoders/{encoder}/responses.zarr"),
    log:
        "results/logs/stimulate_encoder/{encoder}.log",
    benchmark:
        "results/benchmarks/stimulate_encoder/{encoder}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(60),
        gpu=GPUS,
    params:
        options=options("stimulate_encoder"),
        code=code("stimulate_encoder"),
    message:
        "Show gratings and spots to the digital twins of {wildcards.encoder}"
    shell:
        "python -m workflow_scripts.stimulate_encoder"
        " --sessions {input.sessions} --model {input.model} --config {input.config}"
        " --battery {input.battery} --responses {output.responses}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule measure_encoder:
    input:
        sessions=encoder_sessions,
        responses="results/encoders/{encoder}/responses.zarr",
    output:
        units="results/encoders/{encoder}/twins.parquet",
        statistics="results/encoders/{encoder}/twins.json",
    log:
        "results/logs/measure_encoder/{encoder}.log",
    benchmark:
        "results/benchmarks/measure_encoder/{encoder}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(60),
    params:
        options=options("measure_encoder"),
        code=code("measure_encoder"),
    message:
        "Measure the digital twins of {wildcards.encoder}"
    shell:
        "python -m workflow_scripts.measure_encoder"
        " --sessions {input.sessions} --responses {input.responses}"
        " --units {output.units} --statistics {output.statistics}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule measure_attention:
    input:
        sessions=encoder_sessions,
        model="results/encoders/{encoder}/model.safetensors",
        config="results/encoders/{encoder}/model.json",
        responses="results/encoders/{encoder}/responses.zarr",
    output:
        maps=directory("results/encoders/{encoder}/attention.zarr"),
        trials="results/encoders/{encoder}/attention.parquet",
        statistics="results/encoders/{encoder}/attention.json",
    log:
        "results/logs/measure_attention/{encoder}.log",
    benchmark:
        "results/benchmarks/measure_attention/{encoder}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(60),
        gpu=GPUS,
    params:
        options=options("measure_attention"),
        code=code("measure_attention"),
    message:
        "Roll out the attention of {wildcards.encoder}"
    shell:
        "python -m workflow_scripts.measure_attention"
        " --sessions {input.sessions} --model {input.model} --config {input.config}"
        " --responses {input.responses} --maps {output.maps} --trials {output.trials}"
        " --statistics {output.statistics}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_encoders:
    input:
        units=expand("results/encoders/{encoder}/units.parquet", encoder=ENCODERS.compared),
        metrics=expand("results/encoders/{encoder}/metrics.jsonl", encoder=ENCODERS.compared),
    output:
        figure=in_report(
            "results/figures/encoders.png", category="6 Encoding models", subcategory="V1"
        ),
        caption="results/figures/encoders.rst",
    log:
        "results/logs/plot_encoders.log",
    benchmark:
        "results/benchmarks/plot_encoders.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_encoders"),
        code=code("plot_encoders"),
    message:
        "Draw how well the encoders predict"
    shell:
        "python -m workflow_scripts.plot_encoders"
        " --units {input.units} --metrics {input.metrics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_encoder_predictions:
    input:
        predictions=f"results/encoders/{ENCODERS.interpreted}/predictions.zarr",
    output:
        figure=in_report(
            "results/figures/encoder_predictions.png",
            category="6 Encoding models",
            subcategory="V1",
        ),
        caption="results/figures/encoder_predictions.rst",
    log:
        "results/logs/plot_encoder_predictions.log",
    benchmark:
        "results/benchmarks/plot_encoder_predictions.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_encoder_predictions"),
        code=code("plot_encoder_predictions"),
    message:
        "Draw predicted and recorded responses"
    shell:
        "python -m workflow_scripts.plot_encoder_predictions"
        " --predictions {input.predictions}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_attention:
    input:
        maps=f"results/encoders/{ENCODERS.interpreted}/attention.zarr",
        trials=f"results/encoders/{ENCODERS.interpreted}/attention.parquet",
        statistics=f"results/encoders/{ENCODERS.interpreted}/attention.json",
    output:
        figure=in_report(
            "results/figures/attention.png", category="6 Encoding models", subcategory="V1"
        ),
        caption="results/figures/attention.rst",
    log:
        "results/logs/plot_attention.log",
    benchmark:
        "results/benchmarks/plot_attention.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_attention"),
        code=code("plot_attention"),
    message:
        "Draw where the transformer attends"
    shell:
        "python -m workflow_scripts.plot_attention"
        " --maps {input.maps} --trials {input.trials} --statistics {input.statistics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_twins:
    input:
        units=f"results/encoders/{ENCODERS.interpreted}/twins.parquet",
        statistics=f"results/encoders/{ENCODERS.interpreted}/twins.json",
        responses=f"results/encoders/{ENCODERS.interpreted}/responses.zarr",
    output:
        figure=in_report(
            "results/figures/twins.png", category="6 Encoding models", subcategory="V1"
        ),
        caption="results/figures/twins.rst",
    log:
        "results/logs/plot_twins.log",
    benchmark:
        "results/benchmarks/plot_twins.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_twins"),
        code=code("plot_twins"),
    message:
        "Draw receptive fields and tuning of the digital twins"
    shell:
        "python -m workflow_scripts.plot_twins"
        " --units {input.units} --statistics {input.statistics} --responses {input.responses}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_cross_validated:
    input:
        units=expand("{folder}/units.parquet", folder=CROSS_VALIDATED),
        statistics=expand("{folder}/statistics.json", folder=CROSS_VALIDATED),
        predictions=expand("{folder}/predictions.zarr", folder=CROSS_VALIDATED),
    output:
        figure=in_report(
            "results/figures/cross_validated.png", category="6 Encoding models", subcategory="V1"
        ),
        caption="results/figures/cross_validated.rst",
    log:
        "results/logs/plot_cross_validated.log",
    benchmark:
        "results/benchmarks/plot_cross_validated.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_cross_validated"),
        code=code("plot_cross_validated"),
    message:
        "Draw the encoders of small sessions"
    shell:
        "python -m workflow_scripts.plot_cross_validated"
        " --units {input.units} --statistics {input.statistics} --predictions {input.predictions}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
