PROVENANCE = ["results/provenance.json", "results/CITATIONS.md"]


# Everything that `all` asks for comes first, so that the record knows every job's time, but for the
# tables that are made of the record. The folder of benchmarks is no input, and the state of git no option: a second run does nothing.
rule record_provenance:
    input:
        study=lambda _wildcards: [
            file for file in rules.all.input if file not in (*PROVENANCE, *RECORD_PAGES)
        ],
        videos=expand("results/videos/batch_{batch}.zarr", batch=STUDY.batches),
        sessions=expand("results/sessions/{session}/session.zarr", session=STUDY.sessions),
        references=short_path(ROOT / "resources/citations.tsv"),
    output:
        record="results/provenance.json",
        citations="results/CITATIONS.md",
    log:
        "results/logs/record_provenance.log",
    benchmark:
        "results/benchmarks/record_provenance.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        options=options("record_provenance"),
        code=code("record_provenance"),
    message:
        "Record what the study was made from, and whom to cite"
    shell:
        "python -m workflow_scripts.record_provenance"
        " --stores {input.videos} {input.sessions} --references {input.references:q}"
        " --benchmarks results/benchmarks"
        " --record {output.record} --citations {output.citations}"
        " --options {params.options:q} 2>&1 | tee {log}"
