SIMULATED_MOVIES = STUDY.sessions_where("format", "simulated_two_photon")


raw_movie = lambda wildcards: (
    f"results/sessions/{wildcards.session}/movie.tif"
    if wildcards.session in SIMULATED_MOVIES
    else STUDY.sessions[wildcards.session].file("path")
)


rule simulate_two_photon:
    output:
        movie="results/sessions/{session}/movie.tif",
        truth=directory("results/sessions/{session}/truth.zarr"),
    log:
        "results/logs/simulate_two_photon/{session}.log",
    benchmark:
        "results/benchmarks/simulate_two_photon/{session}.tsv"
    wildcard_constraints:
        session=any_of(SIMULATED_MOVIES),
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        options=options("simulate_two_photon"),
        code=code("simulate_two_photon"),
    message:
        "Simulate the two-photon movie {wildcards.session}"
    shell:
        "python -m workflow_scripts.simulate_two_photon"
        " --movie {output.movie} --truth {output.truth}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule register_movie:
    input:
        movie=raw_movie,
    output:
        registration=directory("results/sessions/{session}/registration.zarr"),
    log:
        "results/logs/register_movie/{session}.log",
    benchmark:
        "results/benchmarks/register_movie/{session}.tsv"
    wildcard_constraints:
        session=none_of(set(STUDY.sessions) - set(MOVIES)),
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=MOVIE_MB,
        runtime=growing(480),
    params:
        options=options("register_movie"),
        code=code("register_movie"),
    message:
        "Register the movie {wildcards.session}"
    shell:
        "python -m workflow_scripts.register_movie"
        " --movie {input.movie:q} --registration {output.registration}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule extract_rois:
    input:
        registration="results/sessions/{session}/registration.zarr",
    output:
        rois=directory("results/sessions/{session}/rois.zarr"),
    log:
        "results/logs/extract_rois/{session}.log",
    benchmark:
        "results/benchmarks/extract_rois/{session}.tsv"
    wildcard_constraints:
        session=none_of(set(STUDY.sessions) - set(MOVIES)),
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=MOVIE_MB,
        runtime=growing(120),
    params:
        options=options("extract_rois"),
        code=code("extract_rois"),
    message:
        "Find the cells of {wildcards.session}"
    shell:
        "python -m workflow_scripts.extract_rois"
        " --registration {input.registration} --rois {output.rois}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule extract_traces:
    input:
        movie=raw_movie,
        registration="results/sessions/{session}/registration.zarr",
        rois="results/sessions/{session}/rois.zarr",
    output:
        traces=directory("results/sessions/{session}/traces.zarr"),
    log:
        "results/logs/extract_traces/{session}.log",
    benchmark:
        "results/benchmarks/extract_traces/{session}.tsv"
    wildcard_constraints:
        session=none_of(set(STUDY.sessions) - set(MOVIES)),
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=MOVIE_MB,
        runtime=growing(240),
    params:
        options=options("extract_traces"),
        code=code("extract_traces"),
    message:
        "Measure the traces of {wildcards.session}"
    shell:
        "python -m workflow_scripts.extract_traces"
        " --movie {input.movie:q} --registration {input.registration} --rois {input.rois}"
        " --traces {output.traces}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_movie:
    input:
        registration="results/sessions/{session}/registration.zarr",
        rois="results/sessions/{session}/rois.zarr",
        traces="results/sessions/{session}/traces.zarr",
        truth=lambda wildcards: (
            f"results/sessions/{wildcards.session}/truth.zarr"
            if wildcards.session in SIMULATED_MOVIES
            else []
        ),
    output:
        figure=in_report(
            "results/figures/movie/{session}.png",
            category="1 Recordings",
            subcategory="{session}",
            labels={"figure": "movie"},
        ),
        caption="results/figures/movie/{session}.rst",
    log:
        "results/logs/plot_movie/{session}.log",
    benchmark:
        "results/benchmarks/plot_movie/{session}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_movie"),
        code=code("plot_movie"),
    message:
        "Draw the quality of the movie {wildcards.session}"
    shell:
        "truth={input.truth:q}; "
        "python -m workflow_scripts.plot_movie"
        " --registration {input.registration} --rois {input.rois} --traces {input.traces}"
        ' --truth "${{truth:-null}}"'
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
