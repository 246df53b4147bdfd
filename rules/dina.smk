# DINA: images and population responses aligned, decoded and interpreted.

DINA_FIGURE = expand(
    "results/figures/dina_{figure}/{{alignment}}.png",
    figure=["decoding", "images", "interpretation"],
)
DINA_FIGURES = expand(DINA_FIGURE, alignment=STUDY.alignments)


aligned_sessions = lambda wildcards: expand(
    "results/sessions/{session}/session.zarr",
    session=STUDY.sessions_of(wildcards.alignment),
)


rule train_dina:
    input:
        sessions=aligned_sessions,
    output:
        model="results/dina/{alignment}/model.safetensors",
        config="results/dina/{alignment}/model.json",
        metrics="results/dina/{alignment}/metrics.jsonl",
    log:
        "results/logs/train_dina/{alignment}.log",
    benchmark:
        "results/benchmarks/train_dina/{alignment}.tsv"
    container:
        CONTAINER
    threads: TRAINING_THREADS
    resources:
        mem_mb=TRAINING_MB,
        runtime=growing(1440),
        gpu=TRAINING_GPUS,
        launcher=LAUNCHER,
    params:
        options=options("train_dina"),
        code=code("train_dina"),
    message:
        "Align images and responses: {wildcards.alignment}"
    shell:
        "{resources.launcher} workflow_scripts.train_dina"
        " --sessions {input.sessions}"
        " --model {output.model} --config {output.config} --metrics {output.metrics}"
        " --state results/dina/{wildcards.alignment}/state"
        " --options {params.options:q} 2>&1 | tee {log}"


rule decode_dina:
    input:
        model="results/dina/{alignment}/model.safetensors",
        config="results/dina/{alignment}/model.json",
        sessions=aligned_sessions,
    output:
        scores="results/dina/{alignment}/scores.parquet",
        decoded=directory("results/dina/{alignment}/decoded.zarr"),
        statistics="results/dina/{alignment}/decoding.json",
    log:
        "results/logs/decode_dina/{alignment}.log",
    benchmark:
        "results/benchmarks/decode_dina/{alignment}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(240),
        gpu=GPUS,
    params:
        options=options("decode_dina"),
        code=code("decode_dina"),
    message:
        "Decode images with {wildcards.alignment}"
    shell:
        "python -m workflow_scripts.decode_dina"
        " --model {input.model} --config {input.config} --sessions {input.sessions}"
        " --scores {output.scores} --decoded {output.decoded} --statistics {output.statistics}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule interpret_dina:
    input:
        model="results/dina/{alignment}/model.safetensors",
        config="results/dina/{alignment}/model.json",
        sessions=aligned_sessions,
    output:
        neurons="results/dina/{alignment}/neurons.parquet",
        curves="results/dina/{alignment}/curves.parquet",
        maps=directory("results/dina/{alignment}/maps.zarr"),
        statistics="results/dina/{alignment}/interpretation.json",
    log:
        "results/logs/interpret_dina/{alignment}.log",
    benchmark:
        "results/benchmarks/interpret_dina/{alignment}.tsv"
    container:
        CONTAINER
    threads: TORCH_THREADS
    resources:
        mem_mb=NETWORK_MB,
        runtime=growing(240),
    params:
        options=options("interpret_dina"),
        code=code("interpret_dina"),
    message:
        "Interpret {wildcards.alignment}"
    shell:
        "python -m workflow_scripts.interpret_dina"
        " --model {input.model} --config {input.config} --sessions {input.sessions}"
        " --neurons {output.neurons} --curves {output.curves}"
        " --maps {output.maps} --statistics {output.statistics}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_dina_decoding:
    input:
        metrics="results/dina/{alignment}/metrics.jsonl",
        scores="results/dina/{alignment}/scores.parquet",
        decoded="results/dina/{alignment}/decoded.zarr",
        statistics="results/dina/{alignment}/decoding.json",
    output:
        figure=in_report(
            "results/figures/dina_decoding/{alignment}.png",
            category="7 Images and responses aligned",
            subcategory="{alignment}",
            labels={"figure": "decoding"},
        ),
        caption="results/figures/dina_decoding/{alignment}.rst",
    log:
        "results/logs/plot_dina_decoding/{alignment}.log",
    benchmark:
        "results/benchmarks/plot_dina_decoding/{alignment}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_dina_decoding"),
        code=code("plot_dina_decoding"),
    message:
        "Draw what {wildcards.alignment} decodes"
    shell:
        "python -m workflow_scripts.plot_dina_decoding"
        " --metrics {input.metrics} --scores {input.scores} --decoded {input.decoded}"
        " --statistics {input.statistics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_dina_images:
    input:
        decoded="results/dina/{alignment}/decoded.zarr",
        decoding="results/dina/{alignment}/decoding.json",
        maps="results/dina/{alignment}/maps.zarr",
    output:
        figure=in_report(
            "results/figures/dina_images/{alignment}.png",
            category="7 Images and responses aligned",
            subcategory="{alignment}",
            labels={"figure": "images"},
        ),
        caption="results/figures/dina_images/{alignment}.rst",
    log:
        "results/logs/plot_dina_images/{alignment}.log",
    benchmark:
        "results/benchmarks/plot_dina_images/{alignment}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_dina_images"),
        code=code("plot_dina_images"),
    message:
        "Draw reconstructed images and saliency of {wildcards.alignment}"
    shell:
        "python -m workflow_scripts.plot_dina_images"
        " --decoded {input.decoded} --decoding {input.decoding} --maps {input.maps}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_dina_interpretation:
    input:
        neurons="results/dina/{alignment}/neurons.parquet",
        maps="results/dina/{alignment}/maps.zarr",
        statistics="results/dina/{alignment}/interpretation.json",
    output:
        figure=in_report(
            "results/figures/dina_interpretation/{alignment}.png",
            category="7 Images and responses aligned",
            subcategory="{alignment}",
            labels={"figure": "interpretation"},
        ),
        caption="results/figures/dina_interpretation/{alignment}.rst",
    log:
        "results/logs/plot_dina_interpretation/{alignment}.log",
    benchmark:
        "results/benchmarks/plot_dina_interpretation/{alignment}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_dina_interpretation"),
        code=code("plot_dina_interpretation"),
    message:
        "Draw what {wildcards.alignment} rests on"
    shell:
        "python -m workflow_scripts.plot_dina_interpretation"
        " --neurons {input.neurons} --maps {input.maps} --statistics {input.statistics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
