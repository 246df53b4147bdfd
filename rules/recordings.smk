rule ingest_videos:
    input:
        lambda wildcards: [video.path for video in STUDY.batches[wildcards.batch]],
    output:
        store=directory("results/videos/batch_{batch}.zarr"),
        problems="results/videos/batch_{batch}.problems.tsv",
    log:
        "results/logs/ingest_videos/{batch}.log",
    benchmark:
        "results/benchmarks/ingest_videos/{batch}.tsv"
    priority: 1
    container:
        CONTAINER
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        options=options("ingest_videos"),
        code=code("ingest_videos"),
    message:
        "Decode the videos of batch {wildcards.batch}"
    shell:
        "python -m workflow_scripts.ingest_videos"
        " --store {output.store} --problems {output.problems} --threads {threads}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule index_clips:
    input:
        batches=expand("results/videos/batch_{batch}.zarr", batch=STUDY.batches),
        problems=expand("results/videos/batch_{batch}.problems.tsv", batch=STUDY.batches),
    output:
        clips="results/videos/clips.parquet",
    log:
        "results/logs/index_clips.log",
    benchmark:
        "results/benchmarks/index_clips.tsv"
    priority: 1
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        options=options("index_clips"),
        code=code("index_clips"),
    message:
        "List the clips of all videos"
    shell:
        "python -m workflow_scripts.index_clips"
        " --batches {input.batches} --problems {input.problems} --clips {output.clips}"
        " --options {params.options:q} 2>&1 | tee {log}"
