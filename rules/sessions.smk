INFERRED = STUDY.sessions_where("onsets", "inferred")
TUNED = STUDY.sessions_where("stimulus", "drifting_gratings")
MICE = STUDY.sessions_where("format", "simulated_mouse")
RETINAS = STUDY.sessions_where("format", "simulated_retina")
MOVIES = STUDY.sessions_where("format", *MOVIE_FORMATS)
SESSION_FIGURES = [
    *expand("results/figures/session/{session}.png", session=STUDY.sessions),
    *expand("results/figures/movie/{session}.png", session=MOVIES),
    *expand("results/figures/onsets/{session}.png", session=INFERRED),
    *expand("results/figures/session_tuning/{session}.png", session=TUNED),
]


rule simulate_mouse:
    input:
        images=session_file("stimuli"),
    output:
        mouse="results/sessions/{session}/mouse.zip",
    log:
        "results/logs/simulate_mouse/{session}.log",
    benchmark:
        "results/benchmarks/simulate_mouse/{session}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        options=options("simulate_mouse"),
        code=code("simulate_mouse"),
    message:
        "Simulate the mouse {wildcards.session}"
    shell:
        "python -m workflow_scripts.simulate_mouse"
        " --images {input.images:q} --mouse {output.mouse}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule simulate_retina:
    input:
        movie=session_file("stimuli"),
        outlines=session_file("outlines"),
    output:
        session=directory("results/sessions/{session}/session.zarr"),
    log:
        "results/logs/simulate_retina/{session}.log",
    benchmark:
        "results/benchmarks/simulate_retina/{session}.tsv"
    wildcard_constraints:
        session=any_of(RETINAS),
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        options=options("simulate_retina"),
        code=code("simulate_retina"),
    message:
        "Simulate the retina {wildcards.session}"
    shell:
        "python -m workflow_scripts.simulate_retina"
        " --movie {input.movie:q} --outlines {input.outlines:q} --session {output.session}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule infer_onsets:
    input:
        spikes=session_file("path"),
        outlines=session_file("outlines"),
        movie=session_file("stimuli"),
    output:
        onsets=directory("results/sessions/{session}/onsets.zarr"),
    log:
        "results/logs/infer_onsets/{session}.log",
    benchmark:
        "results/benchmarks/infer_onsets/{session}.tsv"
    wildcard_constraints:
        session=none_of(set(STUDY.sessions) - set(INFERRED)),
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        options=options("infer_onsets"),
        code=code("infer_onsets"),
    message:
        "Infer when the pieces of {wildcards.session} were shown"
    shell:
        "python -m workflow_scripts.infer_onsets"
        " --spikes {input.spikes:q} --outlines {input.outlines:q} --movie {input.movie:q}"
        " --onsets {output.onsets}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule read_session:
    input:
        recording=lambda wildcards: (
            f"results/sessions/{wildcards.session}/mouse.zip"
            if wildcards.session in MICE
            else (
                f"results/sessions/{wildcards.session}/traces.zarr"
                if wildcards.session in MOVIES
                else STUDY.sessions[wildcards.session].file("path")
            )
        ),
        stimuli=lambda wildcards: (
            [] if wildcards.session in MICE else STUDY.sessions[wildcards.session].file("stimuli")
        ),
        trials=session_file("trials"),
        outlines=session_file("outlines"),
        onsets=lambda wildcards: (
            f"results/sessions/{wildcards.session}/onsets.zarr"
            if wildcards.session in INFERRED
            else []
        ),
    output:
        session=directory("results/sessions/{session}/session.zarr"),
    log:
        "results/logs/read_session/{session}.log",
    benchmark:
        "results/benchmarks/read_session/{session}.tsv"
    wildcard_constraints:
        session=none_of(RETINAS),
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        options=options("read_session"),
        code=code("read_session"),
    message:
        "Read the session {wildcards.session}"
    shell:
        "stimuli={input.stimuli:q} trials={input.trials:q}"
        " outlines={input.outlines:q} onsets={input.onsets:q}; "
        "python -m workflow_scripts.read_session"
        " --recording {input.recording:q} --session {output.session}"
        ' --stimuli "${{stimuli:-null}}" --trials "${{trials:-null}}"'
        ' --outlines "${{outlines:-null}}" --onsets "${{onsets:-null}}"'
        " --options {params.options:q} 2>&1 | tee {log}"


rule measure_session_tuning:
    input:
        session="results/sessions/{session}/session.zarr",
    output:
        tuning="results/sessions/{session}/tuning.parquet",
        statistics="results/sessions/{session}/tuning.json",
    log:
        "results/logs/measure_session_tuning/{session}.log",
    benchmark:
        "results/benchmarks/measure_session_tuning/{session}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(60),
    params:
        options=options("measure_session_tuning"),
        code=code("measure_session_tuning"),
    message:
        "Measure the direction tuning of {wildcards.session}"
    shell:
        "python -m workflow_scripts.measure_session_tuning"
        " --session {input.session} --tuning {output.tuning} --statistics {output.statistics}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_onsets:
    input:
        onsets="results/sessions/{session}/onsets.zarr",
    output:
        figure=in_report(
            "results/figures/onsets/{session}.png",
            category="1 Recordings",
            subcategory="{session}",
            labels={"figure": "onsets"},
        ),
        caption="results/figures/onsets/{session}.rst",
    log:
        "results/logs/plot_onsets/{session}.log",
    benchmark:
        "results/benchmarks/plot_onsets/{session}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_onsets"),
        code=code("plot_onsets"),
    message:
        "Draw the evidence for the onsets of {wildcards.session}"
    shell:
        "python -m workflow_scripts.plot_onsets"
        " --onsets {input.onsets}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_session:
    input:
        session="results/sessions/{session}/session.zarr",
    output:
        figure=in_report(
            "results/figures/session/{session}.png",
            category="1 Recordings",
            subcategory="{session}",
            labels={"figure": "session"},
        ),
        caption="results/figures/session/{session}.rst",
    log:
        "results/logs/plot_session/{session}.log",
    benchmark:
        "results/benchmarks/plot_session/{session}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_session"),
        code=code("plot_session"),
    message:
        "Draw the quality of {wildcards.session}"
    shell:
        "python -m workflow_scripts.plot_session"
        " --session {input.session}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"


rule plot_session_tuning:
    input:
        tuning="results/sessions/{session}/tuning.parquet",
        statistics="results/sessions/{session}/tuning.json",
    output:
        figure=in_report(
            "results/figures/session_tuning/{session}.png",
            category="1 Recordings",
            subcategory="{session}",
            labels={"figure": "session_tuning"},
        ),
        caption="results/figures/session_tuning/{session}.rst",
    log:
        "results/logs/plot_session_tuning/{session}.log",
    benchmark:
        "results/benchmarks/plot_session_tuning/{session}.tsv"
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=ANALYSIS_MB,
        runtime=growing(10),
    params:
        options=options("plot_session_tuning"),
        code=code("plot_session_tuning"),
    message:
        "Draw the direction tuning of {wildcards.session}"
    shell:
        "python -m workflow_scripts.plot_session_tuning"
        " --tuning {input.tuning} --statistics {input.statistics}"
        " --figure {output.figure} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
